"""Bodies that stall, half-sent headers, and many connections that say nothing."""

import socket
import time
from contextlib import ExitStack

from benchmarks.attack.environment import AttackEnvironment, AttackTally, upload_slide
from benchmarks.footprint import memory_bytes

CONNECTIONS, IDLE_S = 200, 4
ANSWER_S, GROWTH_BYTES = 20.0, 200 * 2**20


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Others are served meanwhile, what stalls is ended and leaves nothing, and memory stays bounded."""
    server = environment.server(upload_idle_s=IDLE_S)
    host, before = f"Host: 127.0.0.1:{server.port}\r\n", memory_bytes(server.pid)
    kinds = {
        "nothing": "",
        "half a header": f"GET /v1/slides HTTP/1.1\r\n{host}X-Half: ",
        "a stalled slide": f"POST /v1/slides?filename=a.png HTTP/1.1\r\n{host}Content-Length: 1000000\r\n\r\n\x89PNG",
        "a stalled form": f"POST /v1/slides HTTP/1.1\r\n{host}Content-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 1000000\r\n\r\n--b\r\n",
    }
    with ExitStack() as stack:
        lines: dict[str, list[socket.socket]] = {kind: [] for kind in kinds}
        for number in range(CONNECTIONS):
            kind = list(kinds)[number % len(kinds)]
            line = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            line.sendall(kinds[kind].encode("latin-1"))
            lines[kind].append(line)
        for _ in range(5):
            started = time.monotonic()
            status = server.client.get("/v1/slides").status_code
            tally.judge(status == 200 and time.monotonic() - started < ANSWER_S, f"others: {status}")
        upload_slide(server, environment.picture())
        for kind in ("a stalled slide", "a stalled form"):
            ended = sum(_ended(line) for line in lines[kind])
            tally.judge(ended == len(lines[kind]), f"{kind}: {ended} of {len(lines[kind])} were ended")
        tally.judge(memory_bytes(server.pid) - before < GROWTH_BYTES, "memory grew by more than 200 MiB")
    left = [path.name for path in (server.state / "incoming").glob("*/*")]
    tally.judge(not left, f"left behind: {left[:5]}")
    tally.judge(server.alive(), "the server ended")
    server.stop()


def _ended(line: socket.socket) -> bool:
    """Whether the server answers with a refusal and hangs up."""
    line.settimeout(ANSWER_S * IDLE_S)
    try:
        said = line.recv(4096)
    except TimeoutError:
        return False
    except OSError:
        return True
    return not said or b" 4" in said.split(b"\r\n")[0]
