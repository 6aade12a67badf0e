"""Whether the bytes of a slide are those that its id is the hash of.

Hashing gigabytes takes seconds, so a stamp says when that was done and how the files looked then: sizes, times and inodes, which
a write changes. Disks also lose bits without a write: after a week a slide is hashed again.
"""

import errno
import hashlib
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from serving.core.errors import MitoserveError
from serving.slides.hashing import slide_sha256
from serving.slides.slidefiles import slide_files

AGAIN_S = 7 * 86400.0
"""A stamp is good for so long."""


class SlideStamps:
    """The stamps of one server's slides, a small file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def verify(self, path: Path, files: Iterable[Path], sha256: str) -> bool:
        """Whether the slide that opens at `path` has the id `sha256`; False where it is not there or cannot be read.

        files : all that its pixels depend on
        """
        try:
            look = look_at(files)
            if self._has_stamp(sha256, look):
                return True
            if slide_sha256(path) != sha256:
                return False
            if look_at(files) == look:  # else it was written while it was hashed
                self._stamp(sha256, look)
        except MitoserveError:  # its files do not make a slide any more
            return False
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EIO):
                return False
            raise
        return True

    def forget(self, sha256: str) -> None:
        """Hash the slide at its next use."""
        with suppress(OSError):
            (self._folder / sha256).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Ids of the slides that have a stamp."""
        return [path.name for path in self._folder.glob("[!.]*")]

    def _has_stamp(self, sha256: str, look: str) -> bool:
        try:
            line, check = (self._folder / sha256).read_text().split("\n")[:2]
            at, known = line.split(" ")
            age = time.time() - float(at)
        except (OSError, ValueError):
            return False
        return known == look and 0 <= age <= AGAIN_S and check == _hash(line)

    def _stamp(self, sha256: str, look: str) -> None:
        line = f"{int(time.time())} {look}"
        part = self._folder / f".{sha256}.{os.getpid()}.part"
        with suppress(OSError):  # without a stamp it is hashed again
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.write_text(f"{line}\n{_hash(line)}\n")
            part.replace(self._folder / sha256)


def look_at(files: Iterable[Path]) -> str:
    """Hash of how files look: another one where any of them was written, replaced, added or removed."""
    states = [(str(path), path.stat()) for path in files]
    return _hash(repr([(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in states]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def list_files(path: Path, *, mounted: bool) -> list[Path]:
    """All files that a slide's pixels depend on, the one to open first."""
    if mounted:
        return slide_files(path).paths
    folder = path if path.is_dir() else path.parent
    return [path, *sorted(file for file in folder.rglob("*") if file.is_file())]
