"""The key of the machine's own user, while nobody has made one: in a file that only this user reads.

A proxy on the same machine is the same to a server as a browser on it: same address, and with some proxies the same headers.
So being on this machine proves nothing, and being able to read the server's own folder does.
"""

import os
import secrets
from pathlib import Path

from serving.settings import ServerSettings, SettingsError

FILE = "local.key"
"""In the state folder."""
PREFIX = "mito_local_"
"""The viewer takes a key out of an address only if it begins so: anybody can make up an address with a key of their own."""


def local_key(settings: ServerSettings) -> str:
    """The key; made where there is none. Delete the file to have another at the next start.

    Raises
    ------
    SettingsError
        If it can neither be read nor made.
    """
    path = settings.state / FILE
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = _read(path)
        if found is None:
            _make(path)
            found = _read(path)
    except OSError as error:
        raise SettingsError(f"the key of this machine cannot be kept in {path}: {error}; set MITOSIS_STATE") from error
    if found is None:
        raise SettingsError(f"{path} holds no key of this machine; delete it, and another is made")
    return found


def _read(path: Path) -> str | None:
    """The key in the file; None where there is no file, or one that another user may read or write."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with os.fdopen(handle) as file:
        status = os.fstat(handle)
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            return None
        text = file.read(200).strip()
    return text if text.startswith(PREFIX) and len(text) > len(PREFIX) + 30 else None


def _make(path: Path) -> None:
    """Write a new key into a file that appears whole; where another server has just made one, that one stays."""
    part = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{PREFIX}{secrets.token_urlsafe(32)}\n")
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()
