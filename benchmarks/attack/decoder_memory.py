"""Small files that are large once decoded, many at once, and TIFFs that lead their reader in circles."""

import io
import time
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from benchmarks.attack.environment import AttackEnvironment, AttackTally
from benchmarks.footprint import Footprint
from tests.tiffs import ASCII, LONG, TagEntry, Writer

SIDE, AT_ONCE = 13_000, 6
DECODERS_BYTES, BUDGET_BYTES = 2 * 2**30, 3 * 2**30
"""Memory of all decoders together as the server is told, and of all its processes."""
LIMIT_S = 120.0
"""Of one answer; a machine that does much else needs most of it."""


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """All processes together stay within their memory, each file is answered in time, and a good slide still opens."""
    server, footprint = environment.server(decoders_memory_bytes=DECODERS_BYTES), Footprint()

    def bring(named: tuple[str, bytes]) -> None:
        name, content = named
        started = time.monotonic()
        answer = server.client.post(f"/v1/slides?filename={name}", content=content, timeout=4 * LIMIT_S)
        seconds = time.monotonic() - started
        # 503 is the promised answer where others have the memory.
        tally.judge(
            answer.status_code < 500 or answer.status_code == 503, f"{name}: {answer.status_code} {answer.text[:200]}"
        )
        tally.judge(seconds < LIMIT_S, f"{name}: {seconds:.0f} s")

    with footprint.watching(server), ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(bring, [(f"bomb-{number}.png", _bomb(number)) for number in range(AT_ONCE)]))
        list(pool.map(bring, _tiffs().items()))
    peak = footprint.peak_bytes
    tally.judge(peak < BUDGET_BYTES, f"{peak / 2**20:.0f} MiB of all processes, more than {BUDGET_BYTES / 2**20:.0f}")
    tally.judge(footprint.deaths == 0 and server.alive(), "the server or its worker ended")
    answer = server.client.post("/v1/slides", files={"slide": ("a.png", environment.picture())}, timeout=LIMIT_S)
    tally.judge(answer.status_code == 201, f"a good slide afterwards: {answer.status_code}")
    server.stop()


def _bomb(number: int) -> bytes:
    """A PNG of some 20 KB that has half a gigabyte of RGB."""
    picture = Image.new("1", (SIDE, SIDE))
    picture.putpixel((number, 0), 1)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=False)
    return buffer.getvalue()


def _tiffs() -> dict[str, bytes]:
    circle = Writer("<", False)
    circle.directory([TagEntry(256, LONG, 1, circle.number(LONG, 100))], 8)
    many = Writer("<", False)
    for number in range(60_000):
        many.directory([TagEntry(256, LONG, 1, many.number(LONG, 100))], 0 if number == 59_999 else None)
    long = Writer("<", False)
    long.directory([TagEntry(270, ASCII, 48 * 2**20, at=200)], 0)
    return {
        "circle.tif": bytes(circle.made),
        "many.tif": bytes(many.made),
        "long.tif": bytes(long.made).ljust(200, b"\0") + b"x" * (48 * 2**20),
    }
