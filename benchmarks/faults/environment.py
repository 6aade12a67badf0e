"""What every fault starts from: quick models, a slide, and the results of undisturbed runs to hold the others to."""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from serving.core.options import ScoringOptions
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.quick_models import write_quick_models
from tests.samples import noise, write_pyramid
from tests.server_process import ServerProcess
from tests.services import events

SIDE = 7000
"""49 tiles: two chunks."""
PATIENCE_S = 400.0
MAX_REDONE = 64
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FaultEnvironment:
    """Files that faults share, and a folder for the one that runs."""

    shared: Path
    models: Path
    folder: Path
    undisturbed: dict[float, Report] = field(default_factory=dict)
    """Report by threshold."""

    @property
    def slide(self) -> Path:
        """A slide of two chunks, written when it is first asked for."""
        path = self.slide_path
        return path if path.exists() else write_pyramid(path, noise(SIDE, SIDE, seed=5), compression="jpeg", levels=4)

    @property
    def slide_path(self) -> Path:
        """Where the slide is, or will be."""
        return self.shared / "slide.tif"

    def fresh(self, name: str) -> "FaultEnvironment":
        """The same with an empty folder."""
        folder = self.folder / name
        folder.mkdir()
        return replace(self, folder=folder)

    def server(self, **settings: object) -> ServerProcess:
        """A server with its state in this folder."""
        return ServerProcess(self.folder, self.models, **settings).start()

    def make_expected_report(self, threshold: float) -> Report:
        """What a run that nothing disturbs reports."""
        if threshold not in self.undisturbed:
            with open_slide(self.slide) as opened:
                options = ScoringOptions(mpp=0.25, threshold=threshold)
                report = score_slide(opened, load_detector(self.models), options).report
            self.undisturbed[threshold] = without_timing(report.model_dump(mode="json"))
        return self.undisturbed[threshold]


def prepare(folder: Path) -> FaultEnvironment:
    """Models, written below `folder`, where the slide will be too."""
    return FaultEnvironment(folder, write_quick_models(folder / "models"), folder)


def upload_slide(server: ServerProcess, slide: Path) -> str:
    """Id of the slide, once it is stored."""
    with slide.open("rb") as handle:
        answer = server.client.post("/v1/slides", files={"slide": ("slide.tif", handle)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def submit(server: ServerProcess, slide: str, threshold: float) -> str:
    """Id of the accepted analysis."""
    answer = server.client.post("/v1/analyses", json={"slide": slide, "options": {"mpp": 0.25, "threshold": threshold}})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def wait(server: ServerProcess, analyses: list[str]) -> None:
    """Return when all have ended."""

    def over() -> bool:
        states = [server.client.get(f"/v1/analyses/{a}").json().get("state", "queued") for a in analyses]
        return not {"queued", "running"} & set(states)

    server.wait_until(over, PATIENCE_S)


@dataclass(frozen=True, slots=True)
class AnalysisCounts:
    """What became of some analyses."""

    succeeded: int
    runs: int
    """Times that a worker began one of them."""
    most_redone: int
    """Tiles that were shown as done and done again, at most for one interruption."""


def check(server: ServerProcess, environment: FaultEnvironment, analyses: dict[float, str]) -> AnalysisCounts:
    """Count what became of analyses by threshold; fails where one is lost, ended twice, or differs."""
    runs, redone = 0, [0]
    for threshold, analysis in analyses.items():
        shown = server.client.get(f"/v1/analyses/{analysis}").json()
        assert shown["state"] == "succeeded", shown
        report = server.client.get(shown["links"]["report"]).json()
        assert without_timing(report) == environment.make_expected_report(threshold), (
            f"{analysis} differs from an undisturbed run"
        )
        seen = events(server.client.get(shown["links"]["events"]).text)
        kinds = Counter(kind for _, kind, _ in seen)
        assert kinds["succeeded"] == 1, f"{analysis} ended {kinds['succeeded']} times"
        runs += kinds["running"]
        redone += _redone([(kind, json.loads(data)["tiles_done"]) for _, kind, data in seen])
    assert max(redone) <= MAX_REDONE, f"{max(redone)} tiles were done again"
    folders = {path.name for path in (server.state / "results").iterdir() if not path.name.startswith(".")}
    assert len(folders) >= len(analyses)
    return AnalysisCounts(len(analyses), runs, max(redone))


def _redone(seen: list[tuple[str, int]]) -> list[int]:
    """Tiles done again after each new start."""
    found, most, starting = [], 0, False
    for kind, done in seen:
        if kind == "running":
            starting = True
        elif kind == "progress":
            if starting:
                found.append(max(most - done, 0))
                starting = False
            most = max(most, done)
    return found


def without_timing(report: Report) -> Report:
    """A report without what differs from run to run."""
    return {key: value for key, value in report.items() if key not in {"timing", "software"}}
