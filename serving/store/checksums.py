"""Checksums of folders that never change: a file `SHA256SUMS` in each, and its own checksum in the folder's name.

So the row that names a folder says what it holds, and neither a changed byte nor another folder in its place goes unnoticed.
`sha256sum -c SHA256SUMS` checks one by hand.
"""

import errno
import hashlib
import re
from collections.abc import Collection
from pathlib import Path

SUMS = "SHA256SUMS"
_DIGITS = 32
"""Of the checksum's 64 hexadecimal digits in a name; 128 bits are never met by accident."""
_NAMED = re.compile(rf"-([0-9a-f]{{{_DIGITS}}})$")
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class DamagedError(Exception):
    """Stored bytes are not those that were written."""


def name_with_sum(stem: str, folder: Path) -> str:
    """Write the checksums of the files of `folder` into it; gives the name that it has to have: `stem` and their checksum."""
    files = sorted(path for path in folder.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    content = "".join(lines).encode()
    (folder / SUMS).write_bytes(content)
    return f"{stem}-{hashlib.sha256(content).hexdigest()[:_DIGITS]}"


def states_sum(name: str) -> bool:
    """Whether a folder of this name has checksums; those of earlier releases have none."""
    return _NAMED.search(name) is not None


def read_verified(folder: Path, name: str, *, only: Collection[str] | None = None) -> dict[str, bytes]:
    """The contents of the files of `folder`, by name, as they were written.

    name : of the folder, which lies in `folder` by this or another name; only : these files, where not all are needed

    Raises
    ------
    DamagedError
        If a file was changed or is missing, or the disk cannot read it.
    FileNotFoundError
        If the folder is not there.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    found = _NAMED.search(name)
    if found is None:  # of an earlier release
        return {path.name: _read(path) for path in folder.iterdir() if only is None or path.name in only}
    sums = _read(folder / SUMS)
    if not hashlib.sha256(sums).hexdigest().startswith(found.group(1)):
        raise DamagedError(f"{SUMS} is not the one that the name states")
    stated = {line[2]: line[1] for line in map(_LINE.fullmatch, sums.decode().splitlines()) if line}
    contents = {}
    for file in stated if only is None else set(stated) & set(only):
        contents[file] = _read(folder / file)
        if hashlib.sha256(contents[file]).hexdigest() != stated[file]:
            raise DamagedError(f"{file} does not have the checksum that {SUMS} states")
    return contents


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedError(f"{path.name} is missing") from error
    except OSError as error:
        if error.errno == errno.EIO:
            raise DamagedError(f"the disk cannot read {path.name}") from error
        raise
