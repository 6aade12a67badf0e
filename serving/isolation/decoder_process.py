"""The parent's side of one decoder process: requests, pixels through shared memory, and how it ended."""

import base64
import contextlib
import fcntl
import json
import logging
import mmap
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core import errors
from serving.core.errors import MitoserveError, StorageError, UnreadableSlideError
from serving.isolation.decoder import MESSAGE_BYTES, STATED_BYTES

KEPT_BYTES = 2**23
"""Shared memory that stays between reads: a patch has 4 MB; an overview, read once, may have tens of them."""

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
class StatedFacts:
    """What a slide's file states beside its pixels; see the members of `Slide`."""

    level_dimensions: tuple[tuple[int, int], ...]
    properties: dict[str, str]
    associated_images: tuple[str, ...]
    icc_profile: bytes | None


@dataclass(frozen=True, slots=True)
class ExitReason:
    """How a process came to its end."""

    how: str
    crashed: bool = False
    exhausted: bool = False

    def error(self) -> DecoderDiedError:
        """The same as an error."""
        return DecoderDiedError(self.how, crashed=self.crashed, exhausted=self.exhausted)


class Decoder:
    """One process with one open slide."""

    def __init__(
        self,
        pid: int,
        process: int,
        lines: list["DecoderChannel"],
        held: contextlib.ExitStack,
        *,
        wall_s: float,
        how_ended: Callable[[int], ExitReason],
    ) -> None:
        """`held` : lines and memory, which are given back when it is closed.

        wall_s : that an answer may take; how_ended : how the process of a number that has ended came to its end
        """
        self.pid = pid
        self._held = held
        self._process, self._wall_s, self._how_ended = process, wall_s, how_ended
        self._lines = len(lines)
        self._free: queue.SimpleQueue[DecoderChannel | None] = queue.SimpleQueue()
        # Only the first line is answered before the slide is open; the others wait in their sockets.
        for line in lines:
            self._free.put(line)
        self._lock = threading.Lock()
        self._end: ExitReason | None = None

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request that has no pixels in it. See `pixels` for what is raised."""
        line = self._free_line()
        try:
            return self._ask(line, request)
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
            answer = self._ask(line, request)
            height, width, _ = map(int, answer["shape"])
            return line.copy_bytes(height * width * 3).reshape(height, width, 3)
        finally:
            self._free.put(line)

    def stated(self) -> StatedFacts:
        """What the file states. See `pixels` for what is raised."""
        line = self._free_line()
        try:
            line.make_room(STATED_BYTES)
            (size,) = map(int, self._ask(line, {"stated": True})["shape"])
            return _parse_stated(line.copy_bytes(size).tobytes())
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

    def _free_line(self) -> "DecoderChannel":
        line = self._free.get()
        if line is None:
            self._free.put(None)
            raise (self._end or ExitReason("it was closed")).error()
        return line

    def _ask(self, line: "DecoderChannel", request: dict[str, Any]) -> dict[str, Any]:
        line.ours.settimeout(self._wall_s)
        try:
            line.ours.send(json.dumps(request).encode())
            packet = line.ours.recv(MESSAGE_BYTES)
        except TimeoutError:
            self._kill(f"a read gave no answer in {self._wall_s:g} s")
            packet = b""
        except OSError:
            packet = b""
        if not packet:
            raise self._ending().error()
        answer: dict[str, Any] = json.loads(packet)
        if not answer["ok"]:
            if answer["details"]:
                _log.info("decoder %s: %s: %s", self.pid, answer["error"], answer["details"])
            raise _rebuild_error(answer)
        return answer

    def _ending(self) -> ExitReason:
        with self._lock:
            if self._end is not None:
                return self._end
        self._kill("", remember=False)
        return self._how_ended(self.pid)

    def _kill(self, why: str, *, remember: bool = True) -> None:
        with self._lock:
            if self._process < 0:
                return
            if remember:
                self._end = ExitReason(why)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            os.close(self._process)
            self._process = -1


class DecoderChannel:
    """A pair of sockets and the shared memory beside them."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.memory = os.memfd_create("mitoserve-pixels", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        # A decoder that shrank the file under us would end this process with SIGBUS.
        fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._map: mmap.mmap | None = None

    def make_room(self, size: int) -> None:
        """Make the shared memory hold at least so many bytes."""
        if self._map is None or len(self._map) < size:
            os.ftruncate(self.memory, size)
            self._map = mmap.mmap(self.memory, size)

    def copy_bytes(self, size: int) -> NDArray[np.uint8]:
        """A copy of so many bytes of the shared memory; raises `DecoderDiedError` if they cannot be there."""
        if self._map is None or not 0 <= size <= len(self._map):
            raise DecoderDiedError("the reader answered with more than it was asked for")
        copied = np.frombuffer(self._map, np.uint8, size).copy()
        if size > KEPT_BYTES:
            with contextlib.suppress(OSError):  # a kernel that gives nothing back keeps it
                self._map.madvise(mmap.MADV_REMOVE)
        return copied

    def close(self) -> None:
        """Close the sockets and the memory."""
        self.ours.close()
        self.theirs.close()
        os.close(self.memory)


def _parse_stated(content: bytes) -> StatedFacts:
    """What a decoder wrote; raises `DecoderDiedError` if it is not that, since a slide may have taken the decoder over."""
    try:
        stated = json.loads(content)
        profile = stated["icc_profile"]
        return StatedFacts(
            tuple((int(width), int(height)) for width, height in stated["level_dimensions"]),
            {str(name): str(value) for name, value in stated["properties"].items()},
            tuple(str(name) for name in stated["associated_images"]),
            None if profile is None else base64.b64decode(profile, validate=True),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DecoderDiedError("the reader answered with what it was not asked for") from error


def _rebuild_error(answer: dict[str, Any]) -> Exception:
    """The error that a decoder reports, as an error of this process."""
    intended = getattr(errors, str(answer["error"]), None)
    if answer["intended"] and isinstance(intended, type) and issubclass(intended, MitoserveError):
        return intended(answer["message"])
    if answer["short"]:
        return MemoryShortError(answer["needed"])
    if answer["storage"]:
        return StorageError("the slide cannot be read, since the storage that it lies on failed; try again")
    return UnreadableSlideError("the slide cannot be read: its data does not decode; copy it again from the scanner")
