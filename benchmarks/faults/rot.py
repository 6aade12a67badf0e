"""kill -9 at random moments and changed bits in between, on the released models with the tile cache on."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.faults.environment import FaultEnvironment, Report, submit, upload_slide, without_timing
from benchmarks.footprint import family_processor_s
from serving.core.options import ScoringOptions
from serving.scoring.detector import AnyDetector
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.scoring.tile_findings import TileFindings
from serving.settings import default_models
from serving.slides.opening import open_slide
from serving.synthetic.slide import generate_slide
from tests.server_process import ServerProcess, kill
from tests.services import events

KILLS = 100
VICTIMS = ("server", "worker", "decoder", "decoder", "decoder")
"""Decoders more often: they start in milliseconds, and models take seconds to load."""
AGAIN = 0.25
"""How often what was just started is killed before it is ready."""
STARTING_S = 4.0
PAUSE_S = (0.1, 5.0)
"""Processor seconds of the server and all below it between two kills: on a busy machine they are later, not earlier in the work."""
IDLE_S, PATIENCE_S = 2.0, 1800.0
AT_ONCE = 3
"""Analyses that wait or run at any moment."""
SLIDES, WIDTH, HEIGHT = 4, 1000, 1000
"""Of one tile each, or kills would come before anything is done: the released models take seconds for a tile."""
BROUGHT = 0.4
"""How often slides are brought again after a kill, so that there are whole ones to work on."""
SEED = 23
STORED = ("slides/**/*.*", "results/*/*", "tiles/**/*.npz", "checkpoints/**/*.npz", "stamps/*")
"""In the state folder: all that is written once."""
TOLD = {"urn:mitoserve:problem:slide-damaged", "urn:mitoserve:problem:result-lost"}
"""Problems that say what to do."""
SAY_EVERY = 10


@dataclass(frozen=True, slots=True)
class _Accepted:
    """An analysis that was accepted."""

    id: str
    slide: int
    threshold: float


@dataclass
class _Count:
    killed: Counter[str] = field(default_factory=Counter)
    flipped: Counter[str] = field(default_factory=Counter)
    right: int = 0
    told: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0


class _Undisturbed:
    """Reports of runs that nothing disturbs: each slide is scored whole once, and other thresholds are applied to that."""

    def __init__(self, slides: Sequence[Path], detector: AnyDetector) -> None:
        self._slides, self._detector = slides, detector
        self._tiles: dict[int, list[TileFindings]] = {}
        self._reports: dict[tuple[int, float], Report] = {}

    def report(self, slide: int, threshold: float) -> Report:
        """What is expected of the slide, by its number."""
        if (slide, threshold) not in self._reports:
            options, tiles = ScoringOptions(mpp=0.25, threshold=threshold), self._tiles.setdefault(slide, [])
            with open_slide(self._slides[slide]) as opened:
                scored = score_slide(
                    opened, self._detector, options, finished=tuple(tiles), on_finished=tiles.extend
                ).report
            self._reports[slide, threshold] = without_timing(scored.model_dump(mode="json"))
        return self._reports[slide, threshold]


def run(environment: FaultEnvironment, *, kills: int = KILLS, minutes: float = 60.0, seed: int = SEED) -> str:
    """Submit, kill one of server, worker and decoder, and change a bit of a stored file, again and again.

    minutes : until no further kill begins; seed : of what is killed, changed and submitted
    """
    end, chance, count = time.monotonic() + 60 * minutes, random.Random(seed), _Count()
    # All have the name under which they are brought, which is in their reports.
    paths = [environment.folder / f"{number}" / "slide.tif" for number in range(SLIDES)]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        generate_slide(path, seed=SEED + number, width=WIDTH, height=HEIGHT)
    server = ServerProcess(environment.folder, default_models(), keep_tiles="on", model_window_s=600, lease_s=20)
    server.client.timeout = httpx.Timeout(PATIENCE_S)  # a request may wait long on a busy machine
    server.begin().wait_until(lambda: _ready(server), PATIENCE_S)
    slides = [upload_slide(server, path) for path in paths]
    # One of each, so that from the first kill on there are results and findings of tiles to change, and not slides alone.
    accepted = [_submitted(server, slides, number, 0.5) for number in range(SLIDES)]
    _wait(server)
    while count.killed.total() < kills and time.monotonic() < end:
        accepted += [
            _submitted(server, slides, chance.randrange(SLIDES), round(chance.uniform(0.05, 0.95), 2))
            for _ in range(AT_ONCE - _count_unfinished(server))
        ]
        _work(server, chance.uniform(*PAUSE_S))
        _flip(server, chance, count)
        before = count.killed.total()
        _kill(server, chance, count)
        if chance.random() < BROUGHT:
            _bring_again(server, paths, slides)
        if count.killed.total() // SAY_EVERY > before // SAY_EVERY:
            print(
                f"{count.killed.total()} kills; {len(accepted)} accepted; {_format_counts(count.killed)}; {_format_counts(count.flipped)}",
                flush=True,
            )
    undisturbed = _Undisturbed(paths, load_detector(default_models()))
    _wait(server)
    damaged = [analysis for analysis in accepted if not _judge(server, undisturbed, analysis, count)]
    # What was told to be damaged is there after the same requests.
    told, count.told = count.told, 0
    _bring_again(server, paths, slides)
    again = [_submitted(server, slides, analysis.slide, analysis.threshold) for analysis in damaged]
    _wait(server)
    count.lost += sum(not _judge(server, undisturbed, analysis, count) for analysis in again)
    server.stop()
    _print(count, told=told, accepted=len(accepted), again=len(again))
    assert (count.lost, count.duplicated, count.wrong) == (0, 0, 0), f"of {len(accepted)} analyses {count}"
    return (
        f"{count.killed.total()} kills and {count.flipped.total()} changed bits: of {len(accepted)} accepted analyses "
        f"{told} were told to be damaged and were right after the same requests; lost 0, duplicated 0, wrong 0"
    )


def _print(count: _Count, *, told: int, accepted: int, again: int) -> None:
    table = Table("what", "number", title="kill -9 and changed bits, released models")
    for name, number in sorted(count.killed.items()):
        table.add_row(f"kills of {name}", str(number))
    for name, number in sorted(count.flipped.items()):
        table.add_row(f"changed bits in {name}", str(number))
    rows = {
        "accepted analyses": accepted,
        "told to be damaged, and what to do": told,
        "submitted again after that": again,
    }
    rows |= {"reports equal to undisturbed runs": count.right, "lost": count.lost}
    for name, number in (rows | {"duplicated": count.duplicated, "wrong": count.wrong}).items():
        table.add_row(name, str(number))
    Console(width=100).print(table)


def _submitted(server: ServerProcess, slides: list[str], slide: int, threshold: float) -> _Accepted:
    return _Accepted(submit(server, slides[slide], threshold), slide, threshold)


def _bring_again(server: ServerProcess, paths: Sequence[Path], slides: list[str]) -> None:
    assert [upload_slide(server, path) for path in paths] == slides


def _ready(server: ServerProcess) -> bool:
    return server.client.get("/readyz").status_code == 200


def _count_unfinished(server: ServerProcess) -> int:
    shown = server.client.get("/v1/analyses?state=queued&state=running&limit=200").json()
    return len(shown["analyses"])


def _wait(server: ServerProcess) -> None:
    server.wait_until(lambda: _count_unfinished(server) == 0, PATIENCE_S)


def _work(server: ServerProcess, seconds: float) -> None:
    """Let the server use so much processor time, or have nothing to do for a while."""
    before, idle_at = family_processor_s(server.pid), time.monotonic() + IDLE_S
    while family_processor_s(server.pid) < before + seconds:
        if time.monotonic() > idle_at and _count_unfinished(server) == 0:
            return
        time.sleep(0.1)  # polls other processes, which announce nothing


def _kill(server: ServerProcess, chance: random.Random, count: _Count) -> None:
    what = chance.choice(VICTIMS)
    if not _killed(server, what):
        return  # none lives at this moment
    count.killed[what] += 1
    if what != "decoder" and chance.random() < AGAIN:
        time.sleep(chance.uniform(0, STARTING_S))  # the moment is what is random
        if _killed(server, what):
            count.killed[f"{what} that starts"] += 1
    server.wait_until(lambda: _ready(server), PATIENCE_S)


def _killed(server: ServerProcess, what: str) -> bool:
    if what == "server":
        server.kill()
        server.begin()
        return True
    return any(kill(pid) for pid in (server.workers() if what == "worker" else server.decoders())[:1])


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


def _judge(server: ServerProcess, undisturbed: _Undisturbed, analysis: _Accepted, count: _Count) -> bool:
    """Count an analysis as it was promised: with the numbers of an undisturbed run, once, or told to be damaged.

    False where it was told.
    """
    address = f"/v1/analyses/{analysis.id}"
    shown, answer = server.client.get(address).json(), server.client.get(f"{address}/report")
    if answer.status_code == 200:
        right = without_timing(answer.json()) == undisturbed.report(analysis.slide, analysis.threshold)
        ended = Counter(kind for _, kind, _ in events(server.client.get(f"{address}/events").text))["succeeded"]
        count.right += right
        count.wrong += not right
        count.duplicated += ended != 1
    elif answer.json()["type"] in TOLD or shown.get("problem") in TOLD:
        count.told += 1
        return False
    else:
        print(f"{analysis}: {answer.status_code} {answer.text[:300]}", flush=True)
        count.lost += 1
    return True


def _format_counts(counted: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counted.items()))
