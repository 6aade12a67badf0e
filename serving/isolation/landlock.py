"""Landlock: a process gives up for good all files but those that it names, and all network ports.

The kernel's interface is docs.kernel.org/userspace-api/landlock.html and include/uapi/linux/landlock.h; glibc wraps none of it.
"""

import ctypes
import os
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls; the numbers are the same on every architecture but Alpha, which Python's wheels do not reach."""
_GET_VERSION = 1
_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR, _MAKE_FOLDER, _MAKE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 7, 1 << 8
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""By version of the interface: how many of the rights on files, which are bits from 0 on, it knows."""
_PORT_RIGHTS = 0b11
"""Bind and connect TCP, from version 4 on."""
_SCOPES = 0b11
"""Abstract UNIX sockets of others, and signals to others, from version 6 on."""

_LIBRARIES = tuple(
    place.resolve()
    for place in {
        *(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        *map(Path, ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")),
    }
    if place.exists()
)


def version() -> int:
    """The version of Landlock that this kernel has; 0 where it has none, or it is off."""
    if sys.platform != "linux":
        return 0
    return max(_call(_CREATE_RULESET, None, 0, _GET_VERSION), 0)


def libraries() -> list[Path]:
    """Python's and the system's libraries that this process can read: codecs are loaded when they are first needed."""
    return [place for place in _LIBRARIES if os.access(place, os.R_OK)]


def restrict_reading(places: Iterable[Path], *, fill: Path | None = None) -> bool:
    """Bind this thread, and all that it starts, to reading `places` for good: files, and folders with all below them.

    fill : a folder in which it may also make folders and write new files

    What is open stays open. The process can then trace no process outside either, its parent for one. It must have set
    `PR_SET_NO_NEW_PRIVS`. False where the kernel has no Landlock, and then nothing is bound.

    Raises
    ------
    OSError
        If a place is missing, or the kernel refuses.
    """
    known = version()
    if not known:
        return False
    files = (1 << max(count for first, count in _FILE_RIGHTS.items() if first <= known)) - 1
    handled = struct.pack("=QQQ", files, _PORT_RIGHTS if known >= 4 else 0, _SCOPES if known >= 6 else 0)
    handled = handled[: 24 if known >= 6 else 16 if known >= 4 else 8]
    ruleset = _check_result(_call(_CREATE_RULESET, handled, len(handled), 0))
    try:
        for place in places:
            _allow(ruleset, place, _READ_FILE | _READ_DIR if place.is_dir() else _READ_FILE)
        if fill is not None:
            _allow(ruleset, fill, _READ_FILE | _READ_DIR | _WRITE_FILE | _MAKE_FOLDER | _MAKE_FILE)
        _check_result(_call(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, place: Path, rights: int) -> None:
    handle = os.open(place, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _check_result(_call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, handle), 0))
    finally:
        os.close(handle)


def _call(number: int, *arguments: int | bytes | None) -> int:
    """The kernel's answer; -1 with ctypes' errno where it refuses."""
    kernel = ctypes.CDLL(None, use_errno=True)
    stated = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(kernel.syscall(ctypes.c_long(number), *stated))


def _check_result(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
