"""Side by side and the measuring tape, run by Node: views that follow each other, figures that both sides have, distances in words."""

import json
import math
import random
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.limits import LONGEST_S
from tests.viewer_tools import NODE

_PROGRAM = """
import { findLink, findShared, followLeft, followRight, scales } from "./linking.js";
import { distanceText } from "./distance.js";
const functions = {
  link: (left, right, mpp) => {
    const link = findLink(left, right, mpp);
    const moved = { x: left.x + 10 / mpp[0], y: left.y, zoom: 2 * left.zoom };
    return [followRight(left, link, mpp), followLeft(right, link, mpp), followRight(moved, link, mpp)];
  },
  shared: (here, there, reach) => here.map(findShared(there, reach)),
  scales,
  distance: distanceText,
};
const asked = JSON.parse(await new Response(process.stdin).text());
console.log(JSON.stringify(asked.map(([name, ...values]) => functions[name](...values))));
"""
Ask = list[list[Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer")
    (folder / "package.json").write_text('{"type": "module"}')
    for name in ("compare/linking.js", "tape/distance.js"):
        source = resources.files("serving.viewer").joinpath(name)
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "run.js").write_text(_PROGRAM)
    return folder


def run(folder: Path, asked: Ask) -> list[Any]:
    done = subprocess.run(
        [NODE, folder / "run.js"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=LONGEST_S,
    )
    return list(json.loads(done.stdout))


def test_sides_follow_each_other_by_the_same_micrometres(folder: Path) -> None:
    draw = random.Random(0)
    asked: Ask = []
    for _ in range(200):
        left, right = (
            {"x": draw.uniform(0, 1e5), "y": draw.uniform(0, 1e5), "zoom": draw.uniform(0.01, 4)} for _ in range(2)
        )
        asked.append(["link", left, right, [draw.uniform(0.1, 1), draw.uniform(0.1, 1)]])
    for (_, left, right, mpp), (right_again, left_again, moved) in zip(asked, run(folder, asked), strict=True):
        assert right_again == pytest.approx(right)
        assert left_again == pytest.approx(left)
        assert (moved["x"] - right["x"]) * mpp[1] == pytest.approx(10, abs=1e-3)
        assert moved["y"] == pytest.approx(right["y"])
        assert moved["zoom"] == pytest.approx(2 * right["zoom"])


def test_slides_without_a_resolution_are_linked_by_pixels(folder: Path) -> None:
    assert run(folder, [["scales", 0.5, 0.25], ["scales", None, 0.25], ["scales", 0.25, None]]) == [
        [0.5, 0.25],
        [1, 1],
        [1, 1],
    ]


def test_figures_of_both_sides_are_those_within_reach(folder: Path) -> None:
    draw = random.Random(1)
    here, there = (
        [{"x": draw.uniform(0, 600), "y": draw.uniform(0, 600), "width": 10, "height": 10} for _ in range(300)]
        for _ in range(2)
    )
    [found] = run(folder, [["shared", here, there, 30]])
    assert found == [any(math.hypot(a["x"] - b["x"], a["y"] - b["y"]) <= 30 for b in there) for a in here]
    assert {True, False} == set(found)


@pytest.mark.parametrize(
    ("px", "mpp", "said"),
    [
        (100, 0.25, "25.0 µm"),
        (3999, 0.25, "999.8 µm"),
        (3999.9, 0.25, "1.000 mm"),  # never 1000.0 µm
        (4000, 0.25, "1.000 mm"),
        (8000, 0.25, "2.000 mm"),
        (41.6, None, "42 px; resolution unknown"),
        (0, 0.25, "0.0 µm"),
    ],
)
def test_distances_are_in_micrometres_and_from_a_thousand_on_in_millimetres(
    folder: Path, px: float, mpp: float | None, said: str
) -> None:
    ends = {"x": 10, "y": 20}, {"x": 10 + 0.6 * px, "y": 20 + 0.8 * px}
    assert run(folder, [["distance", *ends, mpp]]) == [said]
