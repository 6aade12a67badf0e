"""One changed bit in stored files: report, rasters, checksums, slide, findings of tiles, stamps."""

import random
import subprocess
import sys

from benchmarks.attack.environment import AttackEnvironment, AttackTally, analyse, flip_bit, upload_slide
from tests.server_process import ServerProcess

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


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Each result that is given is the undisturbed one, and bringing and submitting again makes all whole."""
    chance, content = random.Random(SEED), environment.picture()
    server = environment.server(keep_tiles="on")
    slide = upload_slide(server, content)

    def figures(address: str) -> object:
        answer = server.client.get(address)
        return (
            [answer.json()[key] for key in ("counts", "detections", "tiles")]
            if answer.status_code == 200
            else answer.json()["type"]
        )

    address = str(analyse(server, slide)["links"]["report"])
    expected = figures(address)
    for number in range(TRIES):
        pattern = STORED[number % len(STORED)]
        path = max(server.state.glob(pattern), key=lambda found: found.stat().st_mtime_ns)
        flip_bit(path, chance.randrange(2**30))
        shown = figures(address)
        tally.judge(shown in (expected, "urn:mitoserve:problem:result-lost"), f"{pattern}: another result")
        if upload_slide(server, content) != slide:
            tally.judge(False, f"{pattern}: another slide")
        done = analyse(server, slide)
        address = str(done["links"]["report"])
        tally.judge(
            done["state"] == "succeeded" and figures(address) == expected,
            f"{pattern}: not whole again, {done['detail']}",
        )
    _scrub(server, tally, chance)
    server.stop()


def _scrub(server: ServerProcess, tally: AttackTally, chance: random.Random) -> None:
    """`mitoserve state scrub` finds nothing in what is whole, and each change of a slide, a result and findings of tiles."""
    command = [sys.executable, "-m", "serving.cli", "state", "scrub"]

    def said() -> tuple[int, str]:
        ran = subprocess.run(command, env=server.environment, capture_output=True, text=True, timeout=240, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    status, text = said()
    tally.judge(status == 0, f"scrub finds damage where none is: {text[-200:]}")
    for kind, pattern in {"result": "results/*/report.json", "tiles": "tiles/**/*.npz", "slide": "slides/*/*"}.items():
        newest = max(server.state.glob(pattern), key=lambda found: found.stat().st_mtime_ns)
        flip_bit(newest, chance.randrange(2**30))
        _, text = said()
        name = newest.parent.name if kind != "tiles" else newest.name
        tally.judge(kind in text and name[:12] in text, f"scrub misses a changed {kind}: {text[-300:]}")
