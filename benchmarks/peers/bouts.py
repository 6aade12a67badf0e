"""Rounds on one slide, each tool's every turn checked: the same windows, and the same scores where they must be."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.contestants import Settings, peers, tried
from benchmarks.peers.ground import Ground
from benchmarks.peers.lattice import (
    STRIDE_PX,
    WINDOW_PX,
    Scores,
    Square,
    UnequalError,
    check_windows,
    largest_difference,
)
from benchmarks.peers.measure import Contestant, Turn, measure
from benchmarks.peers.runners.job import Job
from benchmarks.peers.slides import MPP
from benchmarks.peers.table import rows

TOLERANCE = 1e-3
"""Of scores from about 0 to 1: runtimes add in another order, and decoders of JPEG may round differently."""


@dataclass(slots=True)
class Bout:
    """All turns so far on one slide, by tool."""

    slide: Path
    square: Square
    variables: Mapping[str, str]
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    packages: dict[str, dict[str, str]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    """The largest of a window's scores from those of the first tool whose scores are exact."""
    _reference: Scores | None = None

    def take(self, contestant: Contestant, folder: Path) -> Turn:
        """One more turn.

        Raises
        ------
        FailedError
            If the tool ends with an error.
        UnequalError
            If it scored other windows, or scored them otherwise than it must.
        """
        square = self.square
        job = Job(str(self.slide), "", "", square.first, square.last, square.slide_px, WINDOW_PX, STRIDE_PX, MPP)
        turn, told = measure(contestant, job, folder, self.variables)
        check_windows(contestant.name, told.origins, square.origins())
        if self._reference is None and contestant.exact:
            self._reference = told.scores
        if self._reference is not None:
            self._compare(contestant, told.scores, self._reference)
        self.turns.setdefault(contestant.name, []).append(turn)
        self.packages[contestant.name] = told.packages
        return turn

    def _compare(self, contestant: Contestant, scores: Scores, reference: Scores) -> None:
        largest = largest_difference(scores, reference)
        self.differences[contestant.name] = max(largest, self.differences.get(contestant.name, 0.0))
        if contestant.exact and largest > TOLERANCE:
            raise UnequalError(f"{contestant.name} scores a window {largest:g} off where {TOLERANCE:g} is allowed")


def bout(ground: Ground, slide: Path, square: Square, contestants: Sequence[Contestant], rounds: int) -> dict[str, Any]:
    """So many rounds of all contestants by turns, ready for JSON."""
    fought, before = Bout(slide, square, ground.variables), os.getloadavg()
    for turn in range(rounds):
        # Each round begins with another, so that none is always first.
        start = turn % len(contestants)
        for contestant in [*contestants[start:], *contestants[:start]]:
            took = fought.take(contestant, ground.folder / f"{slide.stem}-{turn}-{contestant.name}")
            print(f"{slide.stem}, round {turn + 1} of {rounds}: {contestant.name}, {took.work:.1f} s", flush=True)
    windows = len(square.origins())
    return {
        "windows": windows,
        "rows": rows(fought.turns, contestants, windows),
        "largest_difference": fought.differences,
        "packages": fought.packages,
        "load": [before, os.getloadavg()],
    }


def best_settings(ground: Ground) -> tuple[dict[str, Settings], dict[str, list[dict[str, Any]]]]:
    """Of each peer the settings with which it was fastest on 81 windows, and all that were tried, once each."""
    square = Square(1)
    slide = ground.slides(square)["generated"]
    trials: dict[str, list[dict[str, Any]]] = {}
    for peer, python in ground.pythons.items():
        for number, settings in enumerate(tried(peer)):
            (contestant,) = peers(ground.models, ground.script, {peer: python}, {peer: settings})
            turn = Bout(slide, square, ground.variables).take(contestant, ground.folder / f"{peer}-{number}")
            trial = {"settings": settings, "work": turn.work, "work_processor": turn.work_processor}
            trials.setdefault(peer, []).append(trial)
            print(f"{peer} with {settings}: {turn.work:.1f} s, {turn.work_processor:.1f} s of processors", flush=True)
    return {peer: min(those, key=lambda trial: trial["work"])["settings"] for peer, those in trials.items()}, trials
