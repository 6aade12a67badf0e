"""What an operator may set: `MITOSIS_*` environment variables, read once at start and passed down."""

import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

_T = TypeVar("_T")


class SettingsError(ValueError):
    """An environment variable holds a value that cannot be used; the message names it."""


def default_models() -> Path:
    """The models inside the installed package, else those of the checkout."""
    packaged = Path(__file__).parent / "_models"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "models"


def default_uploads() -> Path:
    """A folder of this user's own below the system's temporary folder."""
    return Path(tempfile.gettempdir()) / f"mitoserve-{os.getuid()}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that may differ from one server to the next. `Settings()` holds the defaults."""

    models: Path = field(default_factory=default_models)
    """`MITOSIS_MODELS`: folder of <name>/<version>/{model.onnx, card.json}."""

    uploads: Path = field(default_factory=default_uploads)
    """`MITOSIS_UPLOADS`: folder that holds a slide while it is scored. It needs room for `max_upload_bytes` times the
    slides at the server at once; the system's temporary folder may be memory."""

    max_upload_bytes: int = 16 * 2**30
    """`MITOSIS_MAX_UPLOAD_BYTES`: bytes of one slide. 16 GiB holds every slide of an x40 scanner with one focus plane."""

    providers: tuple[str, ...] | None = None
    """`MITOSIS_PROVIDERS`: ONNX Runtime execution providers in order of preference, comma-separated; None chooses."""

    max_running: int = 1
    """`MITOSIS_MAX_RUNNING`: analyses at once. One already keeps all cores or the GPU busy; two share the same memory."""

    max_waiting: int = 4
    """`MITOSIS_MAX_WAITING`: further requests that may upload and wait their turn; more are refused with 503, because a
    client that waits behind many slides cannot tell a long line from a dead server."""

    upload_idle_s: float = 60.0
    """`MITOSIS_UPLOAD_IDLE_S`: seconds an upload may send nothing before it loses its place in the line."""

    cors_origins: tuple[str, ...] = ()
    """`MITOSIS_CORS_ORIGINS`: web origins, comma-separated, whose pages may call this server; none by default."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """The settings that `environment` states; an absent or empty variable leaves the default.

        Raises
        ------
        SettingsError
            If a variable holds a value that cannot be used.
        """
        stated: dict[str, Any] = {}
        for name, parse in _PARSERS.items():
            variable = f"MITOSIS_{name.upper()}"
            text = environment.get(variable, "").strip()
            if text:
                stated[name] = _parsed(variable, text, parse)
        return cls(**stated)


def _parsed(variable: str, text: str, parse: Callable[[str], _T]) -> _T:
    try:
        return parse(text)
    except ValueError as error:
        raise SettingsError(f"{variable}={text!r} cannot be used: {error}") from error


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _positive_int(text: str) -> int:
    number = _natural(text)
    if number == 0:
        raise ValueError("it must be at least 1")
    return number


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("give a whole number in digits")
    return int(text)


def _seconds(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or number <= 0:
        raise ValueError("give a positive number of seconds")
    return number


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise ValueError("a name between the commas is empty")
    return names


def _origins(text: str) -> tuple[str, ...]:
    origins = _names(text)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ValueError(f"{origin!r} is no web origin; write https://host or https://host:port")
    return origins


_PARSERS: dict[str, Callable[[str], Any]] = {
    "models": _path,
    "uploads": _path,
    "max_upload_bytes": _positive_int,
    "providers": _names,
    "max_running": _positive_int,
    "max_waiting": _natural,
    "upload_idle_s": _seconds,
    "cors_origins": _origins,
}
