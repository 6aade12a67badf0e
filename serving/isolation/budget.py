"""The memory of all decoders together: each reserves what it may use before it starts, and waits while others have it.

A reservation is a number of bytes of a file that an open file description has locked (`fcntl(2)`, F_OFD_SETLK): so several
processes share one budget, and what a process had is free again when it dies.
"""

import contextlib
import fcntl
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from serving.core.errors import BusyError

UNIT = 2**26
"""Bytes of memory for which one byte of the file stands."""
WAIT_S = 60.0
"""Until somebody who needs memory is told to come again."""
_LOOK_S = 0.1
_CGROUP = Path("/sys/fs/cgroup")
_GATE = 0
"""The byte that is locked while units are looked for. It is before all units: servers that share a file may state different totals."""
_LOCK = "hhqqi"
"""`struct flock` of 64-bit Linux: kind, whence, start, length, process."""


class Reservation:
    """Memory that is reserved until it is released."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._lock = threading.Lock()

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1


class MemoryBudget:
    """How much memory decoders may use together, in this process and in all others with the same file."""

    def __init__(self, total: int, file: Path | None = None, *, wait_s: float = WAIT_S) -> None:
        """`total` : bytes; `file` : None for a budget of this process alone."""
        self.total, self._wait_s = total, wait_s
        self._units = max(total // UNIT, 1)
        if file is None:
            # Nobody else can name it; opened again by this name it is locked like any file.
            own = os.memfd_create("mitoserve-budget", os.MFD_CLOEXEC)
            weakref.finalize(self, os.close, own)
            file = Path(f"/proc/self/fd/{own}")
        self._file = file
        self._short: list[Callable[[], None]] = []

    def when_short(self, give_back: Callable[[], None]) -> None:
        """Call `give_back` whenever somebody has to wait: it closes what is open and not in use."""
        self._short.append(give_back)

    def reserve(self, size: int) -> Reservation:
        """Memory for one decoder: whole units, at least one and at most all there are.

        Raises
        ------
        BusyError
            If others have it for too long.
        """
        units, deadline = min(max(-(-size // UNIT), 1), self._units), time.monotonic() + self._wait_s
        while (reservation := self._try_reserve(units)) is None:
            for give_back in self._short:
                give_back()
            if (reservation := self._try_reserve(units)) is not None:
                break
            if time.monotonic() > deadline:
                raise BusyError(
                    "other slides that are open use all memory for reading slides (MITOSIS_DECODERS_MEMORY_BYTES); "
                    "try again later"
                )
            time.sleep(_LOOK_S)
        return reservation

    def _try_reserve(self, units: int) -> Reservation | None:
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, handle)
            _set(handle, fcntl.F_WRLCK, _GATE, wait=True)  # one at a time, or two would each get half
            found = 0
            for unit in range(_GATE + 1, _GATE + 1 + self._units):
                found += _set(handle, fcntl.F_WRLCK, unit)
                if found == units:
                    _set(handle, fcntl.F_UNLCK, _GATE)
                    stack.pop_all()
                    return Reservation(handle)
        return None


def _set(handle: int, kind: int, byte: int, *, wait: bool = False) -> bool:
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, struct.pack(_LOCK, kind, 0, byte, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def machine_memory() -> int:
    """Bytes of memory that processes like this one may use together: the machine's, or less where a cgroup says so."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [whole]
    with contextlib.suppress(OSError):
        own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].lstrip("/")
        folder = _CGROUP / own
        for place in (folder, *folder.parents):
            if place.is_relative_to(_CGROUP):
                limits += _limits(place)
    return min(limits)


def _limits(cgroup: Path) -> list[int]:
    found = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max", or no such file
            found.append(int((cgroup / name).read_text()))
    return found
