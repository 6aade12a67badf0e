"""Models change under load: `python -m benchmarks.hot_swap --count 500 --swaps 10`.

A real server analyses fields while two releases of small models take turns by promotion and rollback. Each report must name one
release, and its scores must be those that this release gives in this process. Prints what was counted, how long moves took, and
the memory of the worker before and after.
"""

import argparse
import os
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from serving.core.options import ScoringOptions
from serving.scoring.loading import load_cascade
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.fakes import tissue
from tests.quick_models import write_quick_models
from tests.server_process import ServerProcess

SCALES = {"0.1": 60.0, "0.2": 45.0}
"""Of the scores of each version: what tells in a report which one ran."""
FIELDS = 10
PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class HotSwapOutcome:
    """What was counted."""

    succeeded: int
    failed: tuple[str, ...]
    """Why, of each that failed."""
    untrue: tuple[str, ...]
    """What each report says that names one release and holds another's scores."""
    by_version: dict[str, int]
    moves_s: tuple[float, ...]
    """Seconds from asking to the first moment at which new analyses ran on the release."""
    memory_before: int
    """Bytes of the worker's own memory with the first release."""
    memory_after: int


def main() -> None:
    """Print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--swaps", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        outcome = hot_swap(Path(name), count=args.count, swaps=args.swaps)
    print(f"{outcome.succeeded} analyses succeeded, {len(outcome.failed)} failed, {len(outcome.untrue)} untrue reports")
    print("by version:", ", ".join(f"{version} {count}" for version, count in sorted(outcome.by_version.items())))
    print(f"{len(outcome.moves_s)} moves took {min(outcome.moves_s):.1f} to {max(outcome.moves_s):.1f} s")
    print(f"worker: {outcome.memory_before / 2**20:.0f} MiB before, {outcome.memory_after / 2**20:.0f} MiB after")
    for problem in (*outcome.failed, *outcome.untrue):
        print(problem)


def hot_swap(folder: Path, *, count: int, swaps: int) -> HotSwapOutcome:
    """Submit `count` analyses, move `swaps` times between two releases while they run, and look at every report."""
    for version, scale in SCALES.items():
        write_quick_models(folder / "models", version, scale=scale)
    fields = [_field(folder, seed) for seed in range(FIELDS)]
    expected = _compute_expected(folder / "models", fields)
    server = ServerProcess(folder, folder / "models", providers="CPUExecutionProvider", model_window_s=10).start()
    try:
        first, second = SCALES
        _move(server, {"models": [first]}, first)
        slides = [_upload(server, field) for field in fields]
        _wait_for_analyses(server, [_submit(server, slide, n) for n, slide in enumerate(slides)])
        before = _memory(server)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)  # so that all of them wait in the line when the first move is asked for
        waiting = [_submit(server, slides[n % FIELDS], FIELDS + n) for n in range(count)]
        os.kill(worker, signal.SIGCONT)
        moves = []
        for swap in range(swaps):
            moves.append(_move(server, *(({"models": [second]}, second) if swap % 2 == 0 else (None, first))))
            _wait_for_analyses(server, [waiting[(swap + 1) * count // (swaps + 1)]])
        views = _wait_for_analyses(server, waiting)
        after = _memory(server)
        reports = [server.client.get(view["links"]["report"]).json() for view in views if view["state"] == "succeeded"]
    finally:
        server.stop()
    return HotSwapOutcome(
        succeeded=len(reports),
        failed=tuple(str(view["detail"]) for view in views if view["state"] != "succeeded"),
        untrue=tuple(word for report in reports if (word := _untrue(report, expected))),
        by_version=dict(Counter(_version(report) for report in reports)),
        moves_s=tuple(moves),
        memory_before=before,
        memory_after=after,
    )


def _field(folder: Path, seed: int) -> Path:
    """A picture of tissue with a darker part, other for each seed."""
    pixels = tissue(1000, 1000)
    pixels[200 : 400 + 20 * seed, 300:600] = (60 + seed, 40, 110)
    path = folder / f"{seed}.png"
    Image.fromarray(pixels).save(path)
    return path


def _compute_expected(models: Path, fields: list[Path]) -> dict[tuple[str, str], Any]:
    """The tiles' scores by version and slide, computed in this process."""
    found = {}
    for version in SCALES:
        folders = {name: models / name / version for name in ("reg-ns", "det")}
        detector = load_cascade(folders, providers=["CPUExecutionProvider"])
        for field in fields:
            with open_slide(field) as slide:
                report = score_slide(slide, detector, ScoringOptions(mpp=0.25)).report
            found[version, report.slide.sha256] = [tile.scores for tile in report.tiles]
    return found


def _untrue(report: dict[str, Any], expected: dict[tuple[str, str], Any]) -> str:
    """What is wrong with a report; empty where its scores are those of the one release that it names."""
    versions = {model["version"] for model in report["models"]}
    if len(versions) != 1:
        return f"{report['analysis_id']} names {report['models']}"
    wanted = expected[_version(report), report["slide"]["sha256"]]
    same = all(
        np.allclose(np.asarray(tile["scores"], float), np.asarray(scores, float), atol=1e-5, equal_nan=True)
        for tile, scores in zip(report["tiles"], wanted, strict=True)
    )
    return "" if same else f"{report['analysis_id']} names {_version(report)} and holds other scores"


def _version(report: dict[str, Any]) -> str:
    return str(report["models"][0]["version"])


def _upload(server: ServerProcess, field: Path) -> str:
    answer = server.client.post(f"/v1/slides?filename={field.name}", content=field.read_bytes())
    return str(answer.raise_for_status().json()["id"])


def _submit(server: ServerProcess, slide: str, number: int) -> str:
    """Address of an analysis that no other's result answers."""
    options = {"mpp": 0.25, "threshold": 0.3 + number / 100_000}
    answer = server.client.post("/v1/analyses", json={"slide": slide, "options": options})
    return str(answer.raise_for_status().headers["location"])


def _wait_for_analyses(server: ServerProcess, addresses: list[str]) -> list[dict[str, Any]]:
    """The analyses when all have ended."""
    views = []
    for address in addresses:

        def over(address: str = address) -> bool:
            return server.client.get(address).json()["state"] not in ("queued", "running")

        server.wait_until(over, PATIENCE_S)
        views.append(dict(server.client.get(address).json()))
    return views


def _move(server: ServerProcess, wanted: dict[str, Any] | None, version: str) -> float:
    """Promote what is wanted, or go back where that is None; seconds until the workers run it."""
    started = time.monotonic()
    if wanted is None:
        answer = server.client.post("/v1/registry/rollback")
    else:
        answer = server.client.post("/v1/registry/releases", json=wanted)
    address = answer.raise_for_status().headers["location"]
    server.wait_until(lambda: server.client.get(address).json()["state"] != "wanted", PATIENCE_S)
    release = server.client.get(address).json()
    assert release["state"] == "promoted", release
    workers = server.client.get("/v1/registry/releases").json()["workers"]
    assert [model.split("@")[1] for model in workers[0]["models"]] == [version] * 2, workers
    return time.monotonic() - started


def _memory(server: ServerProcess) -> int:
    """Bytes that the worker alone holds (RssAnon of proc(5)), its decoders not counted."""
    (worker,) = server.workers()
    for line in Path(f"/proc/{worker}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("proc(5) does not state RssAnon")


if __name__ == "__main__":
    main()
