"""Requests that are large in every part: query keys, headers, a body of another type, a body that says nothing of its length."""

import time
from collections.abc import Iterator

import httpx

from benchmarks.attack.environment import AttackEnvironment, AttackTally
from tests.server_process import ServerProcess

BODY_BYTES = 64 * 2**20
GROWTH_BYTES = 200 * 2**20
ANSWER_S = 30.0
"""On a machine that does much else."""


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Each is refused, the server goes on, and its memory stays bounded."""
    server = environment.server()
    before = _resident(server)
    keys = "&".join("mpp=1" for _ in range(10_000))

    def chunks() -> Iterator[bytes]:
        for _ in range(BODY_BYTES // 2**20):
            yield bytes(2**20)

    requests = {
        "10,000 query keys": lambda: server.client.post(f"/v1/score?{keys}", content=b"x"),
        "a long query": lambda: server.client.get(f"/v1/slides?after={'1' * 5000}"),
        "many headers": lambda: server.client.get("/v1/slides", headers={f"x-{n}": "v" * 1000 for n in range(200)}),
        "a large body of another type": lambda: server.client.post(
            "/v1/analyses", content=bytes(BODY_BYTES), headers={"content-type": "text/plain"}
        ),
        "a large body without a length": lambda: server.client.post(
            "/v1/analyses", content=chunks(), headers={"content-type": "application/json"}
        ),
        "an offset of 5,000 digits": lambda: server.client.patch(
            "/v1/uploads/none", headers={"Tus-Resumable": "1.0.0", "Upload-Offset": "9" * 5000}, content=b"x"
        ),
        "a length of 5,000 digits": lambda: server.client.post(
            "/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "9" * 5000}
        ),
        "deep JSON": lambda: server.client.post(
            "/v1/analyses", content=b"[" * 100_000, headers={"content-type": "application/json"}
        ),
        "a long name": lambda: server.client.post("/v1/slides", files={"slide": ("n" * 999, b"II*\0")}),
    }
    for name, send in requests.items():
        started = time.monotonic()
        try:
            status = send().status_code
        except httpx.TransportError:  # the server hung up before it read all
            status = 0
        tally.judge(status < 500 and status != 200, f"{name}: {status}")
        seconds = time.monotonic() - started
        tally.judge(seconds < ANSWER_S, f"{name}: {seconds:.0f} s")
        tally.judge(server.alive(), f"{name}: the server ended")
    tally.judge(_resident(server) - before < GROWTH_BYTES, "memory grew by more than 200 MiB")
    server.stop()


def _resident(server: ServerProcess) -> int:
    with open(f"/proc/{server.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
