"""What every export shows: the model's figures at the threshold or, where the report states a review, those after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from serving.core.counts import AtypicalCount, Hotspot, JudgedObject, NamedOutline
from serving.core.report import DetectionResult, Report
from serving.scoring.analysis import Analysis
from serving.scoring.atypia import is_atypical
from serving.scoring.counting_input import figures_by_tile, find_cells
from serving.scoring.recount import find_own_threshold

NOT_JUDGED = "not judged"
"""Verdict on a figure of the model's on which reviewers decided nothing."""


@dataclass(frozen=True, slots=True)
class ShownObject:
    """A figure, or what reviewers called something else; px as in the report, (x, y) top left.

    key : unique among the objects of a report, and the same whenever the report is
    probability, score : None of what a reviewer added
    verdict : what reviewers called it, or `NOT_JUDGED`; None where the report states no review
    atypical_probability : of the atypia model; None of what none saw
    atypical : whether it counts as an atypical figure, which what was rejected does not; None of what none saw
    detectors : of an ensemble, what each detector that found it says; None of one detector, and of what a reviewer added
    """

    key: str
    x: float
    y: float
    width: float
    height: float
    probability: float | None
    score: float | None
    verdict: str | None
    is_figure: bool
    found_by: Literal["model", "reviewer"] = "model"
    atypical_probability: float | None = None
    atypical: bool | None = None
    detectors: dict[str, float] | None = None

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def statement(self) -> dict[str, str]:
        """Verdict and finder, for formats that take words; empty where the report states no review."""
        return {} if self.verdict is None else {"verdict": self.verdict, "found_by": self.found_by}

    @property
    def atypia(self) -> dict[str, float | bool]:
        """What the atypia model says, for formats that take numbers; empty of what none saw."""
        if self.atypical_probability is None or self.atypical is None:
            return {}
        return {"atypical": self.atypical, "atypical_probability": self.atypical_probability}

    @property
    def atypia_words(self) -> dict[str, str]:
        """The same for formats that take words."""
        if self.atypical_probability is None or self.atypical is None:
            return {}
        return {"atypical": "yes" if self.atypical else "no", "atypical_probability": f"{self.atypical_probability:g}"}

    @property
    def ensemble(self) -> dict[str, dict[str, float]]:
        """Which detectors of an ensemble found it, for formats that take numbers; empty without an ensemble."""
        return {} if self.detectors is None else {"detectors": self.detectors}

    @property
    def ensemble_words(self) -> dict[str, str]:
        """The same for formats that take words."""
        if self.detectors is None:
            return {}
        return {"detectors": "; ".join(f"{name} {value:g}" for name, value in self.detectors.items())}


_Place = tuple[float, float, float, float, float | None]


def list_objects(report: Report) -> Iterator[ShownObject]:
    """The model's figures; after review those with their verdicts, then judged candidates, then what reviewers added.

    What was rejected is among them and is no figure.
    """
    judged: dict[_Place, list[JudgedObject]] = {}
    for verdict in () if report.review is None else report.review.objects:
        judged.setdefault(_place(verdict), []).append(verdict)
    unjudged, threshold = None if report.review is None else NOT_JUDGED, report.atypical_threshold
    for i, found in enumerate(report.detections):
        yield _show(f"detection-{i}", found, _take(judged, found), unjudged, is_atypical(found, threshold))
    for i, found in enumerate(report.candidates if judged else ()):
        if (verdict_on := _take(judged, found)) is not None:
            yield _show(f"candidate-{i}", found, verdict_on, unjudged, is_atypical(found, threshold))
    for rest in judged.values():
        for added in rest:
            sides = (added.x, added.y, added.width, added.height)
            yield ShownObject(added.target, *sides, added.probability, None, added.label, added.is_figure, "reviewer")


def list_figures(report: Report) -> Iterator[ShownObject]:
    """The objects that count: as many, and at the same places, as the counts of the model or after review state."""
    return (shown for shown in list_objects(report) if shown.is_figure)


def list_hotspots(report: Report) -> list[Hotspot]:
    """The fullest windows of the figures that are shown; `count_shown` says how many each holds."""
    return report.hotspots if report.review is None else report.review.hotspots


def count_shown(window: Hotspot) -> int:
    """The figures in a window: after review where that was asked for, else the model's."""
    return window.mitotic_figures if window.reviewed is None else window.reviewed.mitotic_figures


def count_shown_atypical(window: Hotspot) -> AtypicalCount | None:
    """Those of `count_shown` that are atypical; None without an atypia model."""
    return window.atypical if window.reviewed is None else window.reviewed.atypical


def state_atypia(report: Report) -> dict[str, str]:
    """Which model says what is atypical, and from which probability, for an export's metadata; empty without one."""
    model = report.atypia
    if model is None:
        return {}
    threshold = f"{report.atypical_threshold:g}"
    return {"atypia_model": f"{model.name} {model.version}", "atypical_threshold": threshold}


def count_shown_by_tile(analysis: Analysis) -> list[int] | None:
    """The figures in each tile after review; None where the report states no review, since tiles hold the model's count."""
    report = analysis.report
    if report.review is None:
        return None
    pitch = analysis.mitosis_map.step * (report.settings.tile_px // report.settings.stride_px)
    centres = np.asarray([figure.centre for figure in list_figures(report)], np.float64).reshape(-1, 2)
    return figures_by_tile(centres, find_cells(report.tiles, pitch), pitch) if report.tiles else []


def list_regions(report: Report) -> list[tuple[Literal["within", "exclude"], list[NamedOutline]]]:
    """The regions that are counted in and those that are left out, where there are any."""
    counting = report.settings.counting
    if counting is None:
        return []
    return [("within", counting.within or []), ("exclude", counting.exclude or [])]


def state_review(report: Report) -> dict[str, str]:
    """Whose figures are shown, from which probability, for an export's metadata; empty where they are the model's alone.

    Reviewers name themselves, and XML takes no control characters: a space stands for each.
    """
    review = report.review
    if review is None:
        return {}
    return {
        "figures": "after review",
        "reviewers": "".join(c if c.isprintable() else " " for c in "; ".join(review.reviewers)) or "nobody yet",
        "rule": review.rule,
        "last_entry": str(review.last_entry),
        "threshold": f"{_find_threshold(report):g}",
    }


def describe_review(report: Report) -> str:
    """What `state_review` states, in a sentence; empty where the figures are the model's alone."""
    stated = state_review(report)
    if not stated:
        return ""
    return (
        f"Mitotic figures after review by {stated['reviewers']} ({stated['rule']}, record up to entry "
        f"{stated['last_entry']}), the model's from {stated['threshold']} up"
    )


def _find_threshold(report: Report) -> float:
    counting = report.settings.counting
    if counting is None or counting.threshold is None:
        return find_own_threshold(report)
    return counting.threshold


def _place(found: DetectionResult | JudgedObject) -> _Place:
    return found.x, found.y, found.width, found.height, found.probability


def _take(judged: dict[_Place, list[JudgedObject]], found: DetectionResult) -> JudgedObject | None:
    """The verdict on what the model found, which counts once: two that are equal in all have two verdicts or one."""
    verdicts = judged.get(_place(found))
    return verdicts.pop() if verdicts else None


def _show(
    key: str, found: DetectionResult, verdict: JudgedObject | None, unjudged: str | None, atypical: bool | None
) -> ShownObject:
    is_figure = verdict is None or verdict.is_figure
    return ShownObject(
        key,
        found.x,
        found.y,
        found.width,
        found.height,
        found.probability,
        found.score,
        unjudged if verdict is None else verdict.label,
        is_figure,
        atypical_probability=found.atypical_probability,
        atypical=None if atypical is None else atypical and is_figure,
        detectors=found.detectors,
    )
