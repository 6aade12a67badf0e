"""`python -m serving.isolation.zygote FD [USER GROUP]`: has everything imported that a decoder needs, and forks one on request.

Starting Python and importing the readers takes a few hundred milliseconds; a fork takes a few. This process has one
thread, opens no slide, and holds no secret: it was started anew with a swept environment, and no file of its parent's.
"""

import json
import os
import select
import signal
import socket
import sys
from typing import Any

from PIL import Image

from serving.isolation.decoder import MESSAGE_BYTES, Channel, serve
from serving.isolation.limits import DecoderLimits, hide_memory, restrict
from serving.slides.readers.reader import SLIDE_READERS

MAX_HANDLES = 33
"""Of one decoder: the slide's folder, and two of each of 16 lines."""
_REAP_S = 1.0
_REMEMBERED = 1000
"""Exit statuses of dead decoders that nobody asked for yet."""


def main(control: socket.socket) -> None:
    """Answer requests for decoders, and for how they ended, until the parent hangs up."""
    ended: dict[int, int] = {}
    while True:
        readable, _, _ = select.select([control], [], [], _REAP_S)
        _reap(ended)
        if not readable:
            continue
        packet, handles, _, _ = socket.recv_fds(control, MESSAGE_BYTES, MAX_HANDLES)
        if not packet:
            return
        request: dict[str, Any] = json.loads(packet)
        if "ended" in request:
            control.send(json.dumps({"status": _status(request["ended"], ended)}).encode())
        else:
            _fork(control, handles, DecoderLimits(**request["limits"]))


def _fork(control: socket.socket, handles: list[int], limits: DecoderLimits) -> None:
    """A decoder in the folder that is the first of `handles`, on the others, (socket, memory) for each line.

    The parent gets its process id and a handle of it.
    """
    pid = os.fork()
    if pid == 0:
        try:
            folder, *lines = handles
            control.close()
            _silence()
            os.fchdir(folder)
            os.close(folder)
            restrict(limits)
            pairs = zip(lines[::2], lines[1::2], strict=True)
            serve([Channel(socket.socket(fileno=s), memory) for s, memory in pairs], limits)
        finally:
            os._exit(0)
    for handle in handles:
        os.close(handle)
    process = os.pidfd_open(pid)
    socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [process])
    os.close(process)


def _become(user: int, group: int) -> None:
    """Go on as another user for good; only now, who may be unable to read Python itself."""
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def _silence() -> None:
    """Libraries name files when they complain, and a file's name may name a patient."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)


def _reap(ended: dict[int, int]) -> None:
    try:
        while (dead := os.waitpid(-1, os.WNOHANG))[0]:
            ended[dead[0]] = os.waitstatus_to_exitcode(dead[1])
    except ChildProcessError:
        pass
    while len(ended) > _REMEMBERED:
        del ended[next(iter(ended))]


def _status(pid: int, ended: dict[int, int]) -> int | None:
    """Exit code of a decoder that has ended, negative for a signal; None where it is not known."""
    if pid not in ended:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:
            return None
    return ended.pop(pid)


if __name__ == "__main__":
    SLIDE_READERS.load()
    Image.preinit()  # decoders import nothing any more that is not among Python's libraries
    if account := [int(number) for number in sys.argv[2:]]:
        _become(*account)
    hide_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this ends, also on a terminal's Ctrl-C
    main(socket.socket(fileno=int(sys.argv[1])))
