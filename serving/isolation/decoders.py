"""The parent's side: where decoder processes come from."""

import contextlib
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from serving.core.errors import StorageError, UnreadableSlideError
from serving.core.pixelsize import PixelSize
from serving.isolation.budget import MemoryBudget
from serving.isolation.decoder import MESSAGE_BYTES
from serving.isolation.decoder_process import Decoder, DecoderChannel, DecoderDiedError, ExitReason
from serving.isolation.limits import DecoderLimits, hide_memory

LINES = 2
"""Reads at once in one decoder, unless more are asked for: as many as the pipeline has reader threads on a CPU."""
_START_S = 60.0
_OWN_ENDINGS = {signal.SIGABRT, signal.SIGTRAP, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
"""Signals by which a process ends itself."""
_SWEPT = ("PATH", "LANG", "LC_ALL", "TZ")
"""What a zygote keeps of the environment: the rest may hold secrets."""


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
    ) -> tuple[Decoder, SlideFacts]:
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
            place, file = _locate(path, name)
            pairs = [DecoderChannel() for _ in range(lines)]
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
            decoder = Decoder(
                answer["pid"],
                processes[0],
                pairs,
                stack.pop_all(),
                wall_s=self.limits.read_wall_s,
                how_ended=self.exit_reason,
            )
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

    def exit_reason(self, pid: int) -> ExitReason:
        """How the decoder `pid`, which has ended, came to its end."""
        try:
            status = self._ask({"ended": pid}, [])[0]["status"]
        except DecoderDiedError:
            return ExitReason("it was ended from outside")
        if status == -signal.SIGXCPU:
            return ExitReason("it took more processor time than a read or an opening may", exhausted=True)
        if status is not None and status < 0:
            crashed = -status in _OWN_ENDINGS
            return ExitReason(f"the reader was ended by {signal.Signals(-status).name}", crashed=crashed)
        return ExitReason("the reader stopped", crashed=True)

    def close(self) -> None:
        """End the zygote, and with it every decoder."""
        with self._lock:
            self._drop()

    def _ask(self, request: dict[str, Any], handles: list[int]) -> tuple[dict[str, Any], list[int]]:
        """The zygote's answer; a zygote that died since it was last used is replaced once."""
        with self._lock:
            for attempt in (1, 2):
                if self._zygote is None:
                    self._zygote = _start_zygote(self._user)
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


def _locate(path: Path, name: str) -> tuple[int, str]:
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


def _start_zygote(user: str | None) -> tuple[subprocess.Popen[bytes], socket.socket]:
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
