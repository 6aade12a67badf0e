"""What a decoder may use; it is killed for more."""

import ctypes
import math
import os
import resource
import signal
import struct
import sys
from dataclasses import dataclass

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
"""From linux/prctl.h."""
_CAPABILITIES_3, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 0x20080522, 1, 2
"""From linux/capability.h."""


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """Bounds of one decoder process."""

    memory_bytes: int = 4 * 2**30
    """Of its own memory. The largest picture that may be decoded whole has half a GB of RGB and needs three such."""
    opening_bytes: int = 2**29
    """Of its own memory at first. One that has not enough is replaced by one with what a picture's header says, or
    with `memory_bytes`: slides need 60 to 100 MB, and few pictures more than this."""
    opening_cpu_s: int = 60
    """Processor seconds of opening, which looks at headers and a few tiles; the largest picture takes five."""
    read_cpu_s: int = 120
    """Processor seconds of one read. A patch takes 0.03; the overview of a slide without a pyramid
    decodes every pixel, band by band, and each band is a read of its own."""
    read_wall_s: float = 300.0
    """Seconds until a read that gives no answer is given up: a file on a mount that hangs uses no processor."""
    open_files: int = 256
    """Files at once: an MRXS or DICOM slide is up to a hundred of them."""


def restrict(limits: DecoderLimits) -> None:
    """Bind this process to `limits` for good; it writes no file, and gives up what `give_up` names."""
    resource.setrlimit(resource.RLIMIT_DATA, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    give_up()


def give_up() -> None:
    """Have this process die with its parent, leave no core dump, and win no right that it has not.

    Where it is root's, it keeps of root's capabilities only those to read and write files, so that it can trace no other process.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    end_with_parent(signal.SIGKILL)
    _control(_PR_SET_NO_NEW_PRIVS, 1)
    hide_memory()
    _drop_capabilities()


def hide_memory() -> None:
    """Let no other process of this user read the memory and the environment of this one, nor trace it."""
    _control(_PR_SET_DUMPABLE, 0)


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends, however that ends."""
    _control(_PR_SET_PDEATHSIG, number)


def allow_cpu(seconds: int) -> None:
    """Let this process use `seconds` of processor time from now on; then SIGXCPU ends it."""
    used = os.times()
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.user + used.system) + seconds, hard))


def _drop_capabilities() -> None:
    if sys.platform != "linux":
        return
    kernel, header = ctypes.CDLL(None), struct.pack("=Ii", _CAPABILITIES_3, 0)
    held = ctypes.create_string_buffer(
        24
    )  # effective, permitted and inheritable; the lower half of each, then the upper
    if kernel.capget(header, held) == 0:
        files = 1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH
        effective, permitted = (value & files for value in struct.unpack("=6I", held.raw)[:2])
        kernel.capset(header, struct.pack("=6I", effective, permitted, 0, 0, 0, 0))


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
