"""Slides of several files, which arrive as one zip or tar: MRXS with its folder of data, or the files of a DICOM slide."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serving.core.errors import BusyError, SlideTooLargeError
from serving.slides.slidefiles import SlideFiles
from serving.store.errors import ArchiveError
from serving.store.unpacking import UnpackLimits

AT_ONCE = 2
"""Archives that are unpacked at the same time, each in 512 MiB at most."""
WAITING = 8
"""Archives that may wait for that, each in a thread of the server, which has other work for most of its threads."""
_WAIT_S = 300.0
_BYTES_PER_CPU_S = 4 * 2**20
"""Of an archive, for each second of processor time that it may take beyond the first: bzip2, the slowest, unpacks twice as
many."""
_END_BYTES = 22 + 2**16
"""Of a zip, in which its end record lies: the record, and the longest comment."""
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_KEPT_OF_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ")
_places = threading.BoundedSemaphore(AT_ONCE)
_queue = threading.BoundedSemaphore(AT_ONCE + WAITING)


def is_archive(path: Path) -> bool:
    """Whether the content, not the name, is that of a zip or tar."""
    with path.open("rb") as handle:
        head = handle.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return True
    return head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC) or head.startswith(_COMPRESSED)


def unpack(archive: Path, folder: Path, *, max_bytes: int) -> SlideFiles:
    """Unpack the one slide of an archive into the new `folder`, and tell its files among those that came out.

    Raises
    ------
    ArchiveError
        As `extract`, or if the archive holds not exactly one slide.
    SlideTooLargeError, BusyError, OSError
        As `extract`.
    """
    found = _unpack_in_process(archive, folder, max_bytes, slide=True)
    return SlideFiles(Path(found["folder"]), found["main"], tuple(found["names"]))


def extract(archive: Path, folder: Path, *, max_bytes: int) -> None:
    """Unpack a zip or tar into the new `folder`, in a process of its own with bounds of memory and time.

    Names that lead elsewhere, links and devices are refused, as are too many files and too many bytes; headers count like
    contents, and bytes are counted as they come out, whatever the archive states. What operating systems add (`.DS_Store`,
    `__MACOSX`, `Thumbs.db` and the like) is left out.

    Raises
    ------
    ArchiveError
        If the archive is damaged, holds what it must not, or takes too much memory or time; the message says which.
    SlideTooLargeError
        If more than `max_bytes` come out.
    BusyError
        If other archives are being unpacked for too long.
    OSError
        If the disk is full or fails.
    """
    _unpack_in_process(archive, folder, max_bytes, slide=False)


def _unpack_in_process(archive: Path, folder: Path, max_bytes: int, *, slide: bool) -> dict[str, Any]:
    """The answer of a process that unpacks."""
    _check_is_whole(archive)
    seconds = archive.stat().st_size // _BYTES_PER_CPU_S
    limits = UnpackLimits(max_bytes, cpu_s=30 + seconds, wall_s=120.0 + 4 * seconds)
    request = {"archive": str(archive), "folder": str(folder), "slide": slide, "limits": asdict(limits)}
    with _place():
        folder.mkdir()  # the process may not make it: it sees nothing beside it
        try:
            done = subprocess.run(
                [sys.executable, "-m", "serving.store.unpacking", json.dumps(request)],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # its complaints would name files
                timeout=limits.wall_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _too_slow() from error
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise _too_slow()
    if done.returncode != 0:
        raise ArchiveError("the archive ended the process that unpacked it; make it again, for example with `zip -r`")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "too_large" in answer:
        raise SlideTooLargeError(answer["too_large"])
    if "refused" in answer:
        raise ArchiveError(answer["refused"])
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    return answer


def _check_is_whole(archive: Path) -> None:
    """Refuse the last part of a zip in several parts (APPNOTE.TXT 6.3.10, 4.3.16)."""
    with archive.open("rb") as handle:
        is_zip = handle.read(2) == b"PK"
        handle.seek(max(handle.seek(0, os.SEEK_END) - _END_BYTES, 0))
        _, found, end = handle.read(_END_BYTES).rpartition(b"PK\5\6")
    if is_zip and found and int.from_bytes(end[:2], "little") not in (0, 0xFFFF):  # the latter: see Zip64's end record
        raise ArchiveError(
            "the archive is one part of a zip in several parts; join them, for example with `zip -s 0 PARTS.zip --out slide.zip`"
        )


@contextmanager
def _place() -> Iterator[None]:
    """A place for one archive, after others that came before.

    Raises
    ------
    BusyError
        If too many wait already, or those before take too long.
    """
    busy = BusyError("the server unpacks other archives; try again in a moment")
    if not _queue.acquire(blocking=False):
        raise busy
    try:
        if not _places.acquire(timeout=_WAIT_S):
            raise busy
        try:
            yield
        finally:
            _places.release()
    finally:
        _queue.release()


def _environment() -> dict[str, str]:
    """What the process needs of the environment, which may hold secrets."""
    kept = {name: os.environ[name] for name in _KEPT_OF_ENVIRONMENT if name in os.environ}
    return kept | {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
        "OPENBLAS_NUM_THREADS": "1",
    }


def _too_slow() -> ArchiveError:
    return ArchiveError("the archive took too long to unpack; send the slide as a plain zip without compression")
