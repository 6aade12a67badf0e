"""Rounds on one slide, each tool's every turn checked: the same windows, and the same scores where they must be."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.inputs import PeerInputs
from benchmarks.peers.lattice import (
    STRIDE_PX,
    WINDOW_PX,
    Scores,
    Square,
    UnequalError,
    check_windows,
    largest_difference,
)
from benchmarks.peers.measure import Tool, ToolRun, measure
from benchmarks.peers.runners.job import RunnerJob
from benchmarks.peers.slides import MPP
from benchmarks.peers.table import rows
from benchmarks.peers.tools import Settings, list_settings, peers

TOLERANCE = 1e-3
"""Of scores from about 0 to 1: runtimes add in another order, and decoders of JPEG may round differently."""


@dataclass(slots=True)
class Rounds:
    """All turns so far on one slide, by tool."""

    slide: Path
    square: Square
    variables: Mapping[str, str]
    turns: dict[str, list[ToolRun]] = field(default_factory=dict)
    packages: dict[str, dict[str, str]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    """The largest of a window's scores from those of the first tool whose scores are exact."""
    _reference: Scores | None = None

    def take(self, tool: Tool, folder: Path) -> ToolRun:
        """One more turn.

        Raises
        ------
        FailedError
            If the tool ends with an error.
        UnequalError
            If it scored other windows, or scored them otherwise than it must.
        """
        square = self.square
        job = RunnerJob(str(self.slide), "", "", square.first, square.last, square.slide_px, WINDOW_PX, STRIDE_PX, MPP)
        turn, told = measure(tool, job, folder, self.variables)
        check_windows(tool.name, told.origins, square.origins())
        if self._reference is None and tool.exact:
            self._reference = told.scores
        if self._reference is not None:
            self._compare(tool, told.scores, self._reference)
        self.turns.setdefault(tool.name, []).append(turn)
        self.packages[tool.name] = told.packages
        return turn

    def _compare(self, tool: Tool, scores: Scores, reference: Scores) -> None:
        largest = largest_difference(scores, reference)
        self.differences[tool.name] = max(largest, self.differences.get(tool.name, 0.0))
        if tool.exact and largest > TOLERANCE:
            raise UnequalError(f"{tool.name} scores a window {largest:g} off where {TOLERANCE:g} is allowed")


def run_rounds(inputs: PeerInputs, slide: Path, square: Square, tools: Sequence[Tool], rounds: int) -> dict[str, Any]:
    """So many rounds of all contestants by turns, ready for JSON."""
    fought, before = Rounds(slide, square, inputs.variables), os.getloadavg()
    for turn in range(rounds):
        # Each round begins with another, so that none is always first.
        start = turn % len(tools)
        for tool in [*tools[start:], *tools[:start]]:
            took = fought.take(tool, inputs.folder / f"{slide.stem}-{turn}-{tool.name}")
            print(f"{slide.stem}, round {turn + 1} of {rounds}: {tool.name}, {took.work:.1f} s", flush=True)
    windows = len(square.origins())
    return {
        "windows": windows,
        "rows": rows(fought.turns, tools, windows),
        "largest_difference": fought.differences,
        "packages": fought.packages,
        "load": [before, os.getloadavg()],
    }


def best_settings(inputs: PeerInputs) -> tuple[dict[str, Settings], dict[str, list[dict[str, Any]]]]:
    """Of each peer the settings with which it was fastest on 81 windows, and all that were tried, once each."""
    square = Square(1)
    slide = inputs.slides(square)["generated"]
    trials: dict[str, list[dict[str, Any]]] = {}
    for peer, python in inputs.pythons.items():
        for number, settings in enumerate(list_settings(peer)):
            (tool,) = peers(inputs.models, inputs.script, {peer: python}, {peer: settings})
            turn = Rounds(slide, square, inputs.variables).take(tool, inputs.folder / f"{peer}-{number}")
            trial = {"settings": settings, "work": turn.work, "work_processor": turn.work_processor}
            trials.setdefault(peer, []).append(trial)
            print(f"{peer} with {settings}: {turn.work:.1f} s, {turn.work_processor:.1f} s of processors", flush=True)
    return {peer: min(those, key=lambda trial: trial["work"])["settings"] for peer, those in trials.items()}, trials
