"""kill -9 at random moments and changed bits in between, on the released models with the tile cache on."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.faults.ground import Ground, bring, lasting, submit, wait
from serving.settings import default_models
from serving.synthetic.slide import generate_slide
from tests.server_process import ServerProcess, kill
from tests.services import events

KILLS = 100
PAUSE_S = (1.0, 12.0)
AT_ONCE = 3
"""Analyses that wait or run at any moment."""
SIDE = 3000
SEED = 23
STORED = ("slides/**/*.*", "results/*/*", "tiles/**/*.npz", "checkpoints/**/*.npz", "stamps/*")
"""In the state folder: all that is written once."""
TOLD = {"urn:mitoserve:problem:slide-damaged", "urn:mitoserve:problem:result-lost"}
"""Problems that say what to do."""


@dataclass
class _Count:
    killed: Counter[str] = field(default_factory=Counter)
    flipped: Counter[str] = field(default_factory=Counter)
    told: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0


def run(ground: Ground) -> str:
    """Submit, kill one of server, worker and decoder, and change a bit of a stored file, again and again."""
    chance = random.Random(SEED)
    slide_file = ground.folder / "slide.tif"
    generate_slide(slide_file, seed=SEED, width=SIDE, height=SIDE)
    ground = replace(ground, slide=slide_file, models=default_models(), undisturbed={})
    server = ground.server(keep_tiles="on", model_window_s=60)
    slide, count = bring(server, ground.slide), _Count()
    accepted: dict[float, list[str]] = {}
    while count.killed.total() < KILLS:
        for _ in range(AT_ONCE - _unfinished(server)):
            threshold = round(0.1 + 0.8 * chance.random(), 3)
            accepted.setdefault(threshold, []).append(submit(server, slide, threshold))
        time.sleep(chance.uniform(*PAUSE_S))
        _flip(server, chance, count)
        _kill(server, chance, count)
        _flip(server, chance, count)
        if chance.random() < 0.3:
            assert bring(server, ground.slide) == slide
    for threshold, analyses in accepted.items():
        wait(server, analyses)
        for analysis in analyses:
            _judge(server, ground, analysis, threshold, count)
    # What was told to be lost is there again after the same requests.
    assert bring(server, ground.slide) == slide
    again = {threshold: submit(server, slide, threshold) for threshold in accepted}
    wait(server, list(again.values()))
    before = count.told
    for threshold, analysis in again.items():
        _judge(server, ground, analysis, threshold, count)
    server.stop()
    tries = sum(map(len, accepted.values())) + len(again)
    assert (count.lost, count.duplicated, count.wrong) == (0, 0, 0), f"of {tries} analyses {count}"
    return (
        f"{count.killed.total()} kills ({_named(count.killed)}) and {count.flipped.total()} changed bits "
        f"({_named(count.flipped)}): of {tries} analyses {count.told} were told to be damaged and what to do, of these "
        f"{count.told - before} after the slide was brought again; lost {count.lost}, duplicated {count.duplicated}, wrong {count.wrong}"
    )


def _unfinished(server: ServerProcess) -> int:
    shown = server.client.get("/v1/analyses?state=queued&state=running&limit=200").json()
    return len(shown["analyses"])


def _kill(server: ServerProcess, chance: random.Random, count: _Count) -> None:
    what = chance.choice(("server", "worker", "decoder"))
    if what == "server":
        server.kill()
        server.start()
    elif not any(kill(pid) for pid in (server.workers() if what == "worker" else server.decoders())[:1]):
        return  # none lives at this moment
    count.killed[what] += 1
    server.wait_until(lambda: server.client.get("/readyz").status_code == 200, 240)


def _flip(server: ServerProcess, chance: random.Random, count: _Count) -> None:
    """Change a bit of one file, chosen by kind first, since there are few slides and many findings."""
    kinds = {pattern: [p for p in server.state.glob(pattern) if p.is_file()] for pattern in STORED}
    pattern = chance.choice([pattern for pattern, found in kinds.items() if found])
    path = chance.choice(sorted(kinds[pattern]))
    try:
        content = bytearray(path.read_bytes())
        bit = chance.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        with path.open("r+b") as file:  # in place, as a disk does it
            file.seek(bit // 8)
            file.write(content[bit // 8 : bit // 8 + 1])
    except (FileNotFoundError, ValueError):
        return  # it was removed meanwhile, or is empty
    count.flipped[Path(pattern).parts[0]] += 1


def _judge(server: ServerProcess, ground: Ground, analysis: str, threshold: float, count: _Count) -> None:
    """Count an analysis as it was promised: with the numbers of an undisturbed run, once, or told to be damaged."""
    shown = server.client.get(f"/v1/analyses/{analysis}").json()
    answer = server.client.get(f"/v1/analyses/{analysis}/report")
    if answer.status_code == 200:
        count.wrong += lasting(answer.json()) != ground.expected(threshold)
        seen = events(server.client.get(f"/v1/analyses/{analysis}/events").text)
        count.duplicated += Counter(kind for _, kind, _ in seen)["succeeded"] != 1
    elif answer.json()["type"] in TOLD or shown.get("problem") in TOLD:
        count.told += 1
    else:
        print(f"{analysis}: {answer.status_code} {answer.text[:300]}", flush=True)
        count.lost += 1


def _named(counted: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counted.items()))
