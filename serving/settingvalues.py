"""Values of settings as an environment states them: each function gives one, or raises `ValueError` and says what to give."""

import ipaddress
import math
import re
from pathlib import Path
from urllib.parse import urlsplit


def folder_path(text: str) -> Path:
    """An absolute path; `~` is the home folder."""
    return Path(text).expanduser().absolute()


def store_address(text: str) -> str:
    """A path, or an address with its scheme."""
    return text if "://" in text else str(folder_path(text))


def objects_address(text: str) -> str:
    """The same without a slash at its end."""
    return store_address(text).rstrip("/")


def file_names(text: str) -> tuple[str, ...]:
    """Paths between commas."""
    return tuple(str(folder_path(name)) for name in names(text))


def positive_int(text: str) -> int:
    """A whole number above 0."""
    number = natural(text)
    if number == 0:
        raise ValueError("it must be at least 1")
    return number


def natural(text: str) -> int:
    """A whole number, 0 too."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("give a whole number in digits")
    return int(text)


def seconds(text: str) -> float:
    """A time above 0, s."""
    number = float(text)
    if not math.isfinite(number) or number <= 0:
        raise ValueError("give a positive number of seconds")
    return number


def share(text: str) -> float:
    """A number from 0 up."""
    number = float(text)
    if not math.isfinite(number) or number < 0:
        raise ValueError("give a number from 0 up")
    return number


def names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError("a name between the commas is empty")
    return found


def web_origins(text: str) -> tuple[str, ...]:
    """Web origins between commas."""
    origins = names(text)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ValueError(f"{origin!r} is no web origin; write https://host or https://host:port")
    return origins


def networks(text: str) -> tuple[str, ...]:
    """Addresses or networks between commas."""
    return tuple(str(ipaddress.ip_network(name, strict=False)) for name in names(text))


def path_prefix(text: str) -> str:
    """A path prefix of an address, without a slash at its end."""
    prefix = text.rstrip("/")
    if not all(re.fullmatch(r"[A-Za-z0-9._~-]+", part) and part.strip(".") for part in prefix.split("/")[1:]):
        raise ValueError("write it as in an address, such as /mitoserve")
    if prefix and not prefix.startswith("/"):
        raise ValueError("it begins with a slash")
    return prefix


def web_address(text: str) -> str:
    """An address by http or https."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("give an address that starts with https:// or http://")
    return text


def issuer_address(text: str) -> str:
    """An address by https; by http of this machine alone."""
    parts = urlsplit(web_address(text))
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("keys fetched without TLS prove nothing; give an https:// address")
    return text


def log_format(text: str) -> str:
    """How logs are written."""
    if text not in ("json", "text"):
        raise ValueError("give json or text")
    return text


def on_or_off(text: str) -> str:
    """A switch."""
    if text not in ("on", "off"):
        raise ValueError("give on or off")
    return text
