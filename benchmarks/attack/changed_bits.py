"""One changed bit in stored files: report, rasters, checksums, slide, findings of tiles, stamps."""

import random

from benchmarks.attack.ground import Ground, Tally, analysed, bring

STORED = (
    "results/*/report.json",
    "results/*/rasters.npz",
    "results/*/SHA256SUMS",
    "slides/*/*",
    "tiles/**/*.npz",
    "stamps/*",
)
TRIES = 30
SEED = 5


def attack(ground: Ground, tally: Tally) -> None:
    """Each result that is given is the undisturbed one, and bringing and submitting again makes all whole."""
    chance, content = random.Random(SEED), ground.picture()
    server = ground.server(keep_tiles="on")
    slide = bring(server, content)

    def figures(address: str) -> object:
        answer = server.client.get(address)
        return (
            [answer.json()[key] for key in ("counts", "detections", "tiles")]
            if answer.status_code == 200
            else answer.json()["type"]
        )

    address = str(analysed(server, slide)["links"]["report"])  # type: ignore[index]
    expected = figures(address)
    for number in range(TRIES):
        pattern = STORED[number % len(STORED)]
        path = max(server.state.glob(pattern), key=lambda found: found.stat().st_mtime_ns)
        data = bytearray(path.read_bytes())
        bit = chance.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(data))
        shown = figures(address)
        tally.judge(shown in (expected, "urn:mitoserve:problem:result-lost"), f"{pattern}: another result")
        if bring(server, content) != slide:
            tally.judge(False, f"{pattern}: another slide")
        done = analysed(server, slide)
        address = str(done["links"]["report"])  # type: ignore[index]
        tally.judge(
            done["state"] == "succeeded" and figures(address) == expected,
            f"{pattern}: not whole again, {done['detail']}",
        )
    server.stop()
