"""The parent's side: where decoder processes come from, and one of them."""

import contextlib
import fcntl
import json
import logging
import mmap
import os
import pwd
import queue
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.isolation.budget import MemoryBudget
from serving.isolation.decoder import MESSAGE_BYTES
from serving.isolation.limits import DecoderLimits, hide_memory
from serving.wsi import errors
from serving.wsi.errors import MitoserveError, StorageError, UnreadableSlideError
from serving.wsi.pixelsize import PixelSize

LINES = 2
"""Reads at once in one decoder, unless more are asked for: as many as the pipeline has reader threads on a CPU."""
KEPT_BYTES = 2**23
"""Shared memory that stays between reads: a patch has 4 MB; an overview, read once, may have tens of them."""
_START_S = 60.0
_OWN_ENDINGS = {signal.SIGABRT, signal.SIGTRAP, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
"""Signals by which a process ends itself."""
_SWEPT = ("PATH", "LANG", "LC_ALL", "TZ")
"""What a zygote keeps of the environment: the rest may hold secrets."""

_log = logging.getLogger("mitoserve.decoders")


class DecoderDiedError(Exception):
    """A decoder ended, or was ended, before it answered; the message says how.

    crashed : whether it ended itself, as OpenSlide's GLib does where memory is short
    exhausted : whether it used all its processor time
    """

    def __init__(self, how: str, *, crashed: bool = False, exhausted: bool = False) -> None:
        super().__init__(how)
        self.crashed, self.exhausted = crashed, exhausted


class MemoryShortError(Exception):
    """What was asked for needs more memory than the decoder has; `needed` : bytes that would do, where they are known."""

    def __init__(self, needed: int | None = None) -> None:
        super().__init__()
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process came to its end."""

    how: str
    crashed: bool = False
    exhausted: bool = False

    def error(self) -> DecoderDiedError:
        """The same as an error."""
        return DecoderDiedError(self.how, crashed=self.crashed, exhausted=self.exhausted)


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """What a decoder says of the slide that it opened."""

    width: int
    height: int
    pixel_size: PixelSize | None
    vendor: str
    bounds: tuple[int, int, int, int] | None
    notes: tuple[str, ...]
    stored_scale: tuple[float, float]


class Decoders:
    """Starts decoder processes by way of a zygote, which is started when first needed and again if it dies."""

    def __init__(self, limits: DecoderLimits, *, user: str | None = None, budget: MemoryBudget | None = None) -> None:
        """`user` : whom decoders run as, by name or number; None: as this process.

        budget : memory of all decoders together; None: no bound
        """
        self.limits, self._user, self.budget = limits, user, budget
        self._zygote: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._lock = threading.Lock()

    @property
    def least_bytes(self) -> int:
        """Memory of a decoder at first."""
        return min(self.limits.opening_bytes, self.most_bytes)

    @property
    def most_bytes(self) -> int:
        """Memory of a decoder that needs much."""
        return min(self.limits.memory_bytes, sys.maxsize if self.budget is None else self.budget.total)

    def start(
        self, path: Path, name: str, *, memory: int | None = None, lines: int = LINES
    ) -> tuple["Decoder", SlideFacts]:
        """A process that has opened the slide.

        memory : bytes that it may use, by default the least
        lines : reads that it shall serve at once, at most 16

        Raises
        ------
        DecoderDiedError
            If the process ended while it opened the slide.
        MemoryShortError
            If its memory was too little.
        BusyError
            If others have the memory of all decoders.
        MitoserveError
            If the slide is none that can be read.
        """
        memory = self.least_bytes if memory is None else memory
        with contextlib.ExitStack() as stack:
            if self.budget is not None:
                stack.callback(self.budget.reserve(memory).release)
            place, file = _located(path, name)
            pairs = [_Line() for _ in range(lines)]
            for line in pairs:
                stack.callback(line.close)
            handles = [handle for line in pairs for handle in (line.theirs.fileno(), line.memory)]
            limits = asdict(replace(self.limits, memory_bytes=memory))
            try:
                answer, processes = self._ask({"limits": limits}, [place, *handles])
            finally:
                os.close(place)
            for line in pairs:
                line.theirs.close()
            decoder = Decoder(self, answer["pid"], processes[0], pairs, stack.pop_all())
        try:
            opened = decoder.call({"path": file, "name": name})
        except BaseException:
            decoder.close()
            raise
        return decoder, SlideFacts(
            opened["width"],
            opened["height"],
            None if opened["pixel_size"] is None else PixelSize(*opened["pixel_size"]),
            opened["vendor"],
            None if opened["bounds"] is None else tuple(opened["bounds"]),
            tuple(opened["notes"]),
            tuple(opened["stored_scale"]),
        )

    def how_ended(self, pid: int) -> Ending:
        """How the decoder `pid`, which has ended, came to its end."""
        try:
            status = self._ask({"ended": pid}, [])[0]["status"]
        except DecoderDiedError:
            return Ending("it was ended from outside")
        if status == -signal.SIGXCPU:
            return Ending("it took more processor time than a read or an opening may", exhausted=True)
        if status is not None and status < 0:
            crashed = -status in _OWN_ENDINGS
            return Ending(f"the reader was ended by {signal.Signals(-status).name}", crashed=crashed)
        return Ending("the reader stopped", crashed=True)

    def close(self) -> None:
        """End the zygote, and with it every decoder."""
        with self._lock:
            self._drop()

    def _ask(self, request: dict[str, Any], handles: list[int]) -> tuple[dict[str, Any], list[int]]:
        """The zygote's answer; a zygote that died since it was last used is replaced once."""
        with self._lock:
            for attempt in (1, 2):
                if self._zygote is None:
                    self._zygote = _started(self._user)
                _, control = self._zygote
                try:
                    socket.send_fds(control, [json.dumps(request).encode()], handles)
                    packet, received, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 1)
                except OSError:
                    packet, received = b"", []
                if packet:
                    return json.loads(packet), received
                self._drop()
                if "ended" in request or attempt == 2:
                    break
            raise DecoderDiedError("the process that starts readers was ended")

    def _drop(self) -> None:
        if self._zygote is not None:
            process, control = self._zygote
            control.close()
            process.kill()
            process.wait()
            self._zygote = None


class Decoder:
    """One process with one open slide."""

    def __init__(
        self, decoders: Decoders, pid: int, process: int, lines: list["_Line"], held: contextlib.ExitStack
    ) -> None:
        """`held` : lines and memory, which are given back when it is closed."""
        self.pid = pid
        self._held = held
        self._decoders, self._process = decoders, process
        self._lines = len(lines)
        self._free: queue.SimpleQueue[_Line | None] = queue.SimpleQueue()
        # Only the first line is answered before the slide is open; the others wait in their sockets.
        for line in lines:
            self._free.put(line)
        self._lock = threading.Lock()
        self._end: Ending | None = None

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request that has no pixels in it. See `pixels` for what is raised."""
        line = self._free_line()
        try:
            return self._asked(line, request)
        finally:
            self._free.put(line)

    def pixels(self, request: dict[str, Any], max_bytes: int) -> NDArray[np.uint8]:
        """The pixels that were asked for, uint8, shape (h, w, 3).

        Raises
        ------
        DecoderDiedError
            If the process ended, or gave no answer in time and was ended.
        MitoserveError
            What reading the slide raised.
        """
        line = self._free_line()
        try:
            line.make_room(max_bytes)
            answer = self._asked(line, request)
            shape = (int(answer["height"]), int(answer["width"]), 3)
            return line.copied(shape)
        finally:
            self._free.put(line)

    def close(self) -> None:
        """End the process and release its memory; a second time does nothing."""
        self._kill("it was closed")
        with self._lock:
            lines, self._lines = self._lines, 0
        if not lines:
            return
        # Each line comes back when the thread that waits on it has seen that the process is gone.
        for _ in range(lines):
            self._free.get()
        self._held.close()
        self._free.put(None)

    def _free_line(self) -> "_Line":
        line = self._free.get()
        if line is None:
            self._free.put(None)
            raise (self._end or Ending("it was closed")).error()
        return line

    def _asked(self, line: "_Line", request: dict[str, Any]) -> dict[str, Any]:
        line.ours.settimeout(self._decoders.limits.read_wall_s)
        try:
            line.ours.send(json.dumps(request).encode())
            packet = line.ours.recv(MESSAGE_BYTES)
        except TimeoutError:
            self._kill(f"a read gave no answer in {self._decoders.limits.read_wall_s:g} s")
            packet = b""
        except OSError:
            packet = b""
        if not packet:
            raise self._ending().error()
        answer: dict[str, Any] = json.loads(packet)
        if not answer["ok"]:
            if answer["details"]:
                _log.info("decoder %s: %s: %s", self.pid, answer["error"], answer["details"])
            raise _raised(answer)
        return answer

    def _ending(self) -> Ending:
        with self._lock:
            if self._end is not None:
                return self._end
        self._kill("", remember=False)
        return self._decoders.how_ended(self.pid)

    def _kill(self, why: str, *, remember: bool = True) -> None:
        with self._lock:
            if self._process < 0:
                return
            if remember:
                self._end = Ending(why)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            os.close(self._process)
            self._process = -1


class _Line:
    """A pair of sockets and the shared memory beside them."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.memory = os.memfd_create("mitoserve-pixels", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        # A decoder that shrank the file under us would end this process with SIGBUS.
        fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._map: mmap.mmap | None = None

    def make_room(self, size: int) -> None:
        if self._map is None or len(self._map) < size:
            os.ftruncate(self.memory, size)
            self._map = mmap.mmap(self.memory, size)

    def copied(self, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        size = shape[0] * shape[1] * shape[2]
        if self._map is None or not 0 <= size <= len(self._map):
            raise DecoderDiedError("the reader answered with more pixels than it was asked for")
        pixels = np.frombuffer(self._map, np.uint8, size).reshape(shape).copy()
        if size > KEPT_BYTES:
            with contextlib.suppress(OSError):  # a kernel that gives nothing back keeps it
                self._map.madvise(mmap.MADV_REMOVE)
        return pixels

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()
        os.close(self.memory)


def _located(path: Path, name: str) -> tuple[int, str]:
    """A handle of the slide's folder, and the slide's name in it; the decoder needs no way there and learns of none.

    The path may be a link. What lies in the folder may not, which the decoder checks.
    """
    try:
        path = path.resolve()
        folder, file = (path, ".") if path.is_dir() else (path.parent, path.name)
        return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableSlideError(f"there is no file {name}") from error
    except (OSError, RuntimeError) as error:
        raise StorageError(f"the folder of {name} cannot be opened; try again") from error


def _started(user: str | None) -> tuple[subprocess.Popen[bytes], socket.socket]:
    hide_memory()  # decoders are processes of the same user, unless told otherwise
    account = []
    if user is not None:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        account = [str(entry.pw_uid), str(entry.pw_gid)]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_START_S)
    environment = {name: os.environ[name] for name in _SWEPT if name in os.environ}
    environment |= {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
        "OMP_NUM_THREADS": "1",  # a fork takes one thread along; numpy must not have started others
        "OPENBLAS_NUM_THREADS": "1",
    }
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.isolation.zygote", str(theirs.fileno()), *account],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    return process, ours


def _raised(answer: dict[str, Any]) -> Exception:
    """The error that a decoder reports, as an error of this process."""
    intended = getattr(errors, str(answer["error"]), None)
    if answer["intended"] and isinstance(intended, type) and issubclass(intended, MitoserveError):
        return intended(answer["message"])
    if answer["short"]:
        return MemoryShortError(answer["needed"])
    if answer["storage"]:
        return StorageError("the slide cannot be read, since the storage that it lies on failed; try again")
    return UnreadableSlideError("the slide cannot be read: its data does not decode; copy it again from the scanner")
