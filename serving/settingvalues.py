"""Types of settings: how each value is read from the text of an environment variable, and what is refused."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode


def _from_text(read: Callable[[str], Any]) -> BeforeValidator:
    """A validator that reads text and leaves other values as they are."""
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def _read_path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _read_store(text: str) -> str:
    return text if "://" in text else str(_read_path(text))


def _read_names(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError("a name between the commas is empty")
    return found


def _read_origins(text: str) -> tuple[str, ...]:
    origins = _read_names(text)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ValueError(f"{origin!r} is no web origin; write https://host or https://host:port")
    return origins


def _read_prefix(text: str) -> str:
    prefix = text.rstrip("/")
    if not all(re.fullmatch(r"[A-Za-z0-9._~-]+", part) and part.strip(".") for part in prefix.split("/")[1:]):
        raise ValueError("write it as in an address, such as /mitoserve")
    if prefix and not prefix.startswith("/"):
        raise ValueError("it begins with a slash")
    return prefix


def _read_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("give an address that starts with https:// or http://")
    return text


def _read_archives(text: str) -> tuple[str, ...]:
    found = _read_names(text)
    for entry in found:
        name, _, address = entry.partition("=")
        parts = urlsplit(_read_address(address))
        if not re.fullmatch(r"[a-z0-9-]{1,60}", name) or parts.username or parts.password:
            raise ValueError(f"{name!r} is to be name=https://host/path, the name in small letters, digits and hyphens")
    if len({entry.partition("=")[0] for entry in found}) < len(found):
        raise ValueError("two archives have one name")
    return tuple(entry.rstrip("/") for entry in found)


def _read_issuer(text: str) -> str:
    parts = urlsplit(_read_address(text))
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("keys fetched without TLS prove nothing; give an https:// address")
    return text


def _read_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"it is no regular expression of Python: {error}") from error
    return text


FolderPath = Annotated[Path, _from_text(_read_path)]
"""An absolute path; `~` is the home folder."""
StoreAddress = Annotated[str, _from_text(_read_store)]
"""A path, or an address with its scheme."""
ObjectsAddress = Annotated[str, _from_text(lambda text: _read_store(text).rstrip("/"))]
"""The same without a slash at its end."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A time above 0, s."""
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A number from 0 up."""
Names = Annotated[tuple[str, ...], NoDecode, _from_text(_read_names)]
"""Names between commas."""
Archives = Annotated[tuple[str, ...], NoDecode, _from_text(_read_archives)]
"""name=address of archives between commas."""
FileNames = Annotated[
    tuple[str, ...], NoDecode, _from_text(lambda text: tuple(str(_read_path(n)) for n in _read_names(text)))
]
"""Paths between commas."""
WebOrigins = Annotated[tuple[str, ...], NoDecode, _from_text(_read_origins)]
"""Web origins between commas."""
Networks = Annotated[
    tuple[str, ...],
    NoDecode,
    _from_text(lambda text: tuple(str(ipaddress.ip_network(n, strict=False)) for n in _read_names(text))),
]
"""Addresses or networks between commas."""
NamePattern = Annotated[str, Field(max_length=1000), _from_text(_read_pattern)]
"""A regular expression of Python."""
PathPrefix = Annotated[str, _from_text(_read_prefix)]
"""A path prefix of an address, without a slash at its end."""
WebAddress = Annotated[str, _from_text(_read_address)]
"""An address by http or https."""
IssuerAddress = Annotated[str, _from_text(_read_issuer)]
"""An address by https; by http of this machine alone."""
