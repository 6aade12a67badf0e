"""`mitoserve benchmark`: two releases and somebody's detections on a folder as MIDOG++ is published, one picture broken."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serving.cli.benchmark import SOME_FAILED, benchmark
from serving.core.words import RESEARCH_USE
from serving.evaluation.benchmark import Benchmark
from tests.fields import draw_field
from tests.labelled_fields import MPP, write_midog
from tests.miniatures.cards import make_boxes_card, make_points_card, write_miniature

pytestmark = pytest.mark.integration


def run(*arguments: object) -> Result:
    return CliRunner().invoke(benchmark, [str(argument) for argument in arguments])


def test_it_measures_names_what_is_broken_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOSIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MITOSIS_PROVIDERS", "CPUExecutionProvider")
    folder = write_midog(tmp_path / "midog++", broken="003")
    releases = [tmp_path / "points", tmp_path / "boxes"]
    for root, card in zip(releases, (make_points_card(), make_boxes_card()), strict=True):
        write_miniature(root, card)
    field = draw_field(seed=81, width=900, height=760, mitoses_per_mm2=250.0, lookalikes_per_mm2=150.0)
    points = [
        {"name": "mitotic figure", "point": [(x1 + x2) * MPP / 2000, (y1 + y2) * MPP / 2000, 0], "probability": 0.9}
        for x1, y1, x2, y2 in field.mitotic_figures.tolist()
    ]
    theirs = tmp_path / "theirs" / "001"
    theirs.mkdir(parents=True)
    (theirs / "mitotic-figures.json").write_text(json.dumps({"type": "Multiple points", "points": points}))
    out = tmp_path / "out"
    arguments = [
        folder, *("--release", releases[0], "--release", releases[1]), "--detections", f"theirs={theirs.parent}",
        *("--mpp", MPP, "--hotspot-area", 0.01, "--out", out),
    ]  # fmt: skip
    first = run(*arguments)
    assert first.exit_code == SOME_FAILED, first.output
    assert RESEARCH_USE in first.output
    made = Benchmark.model_validate_json((out / "benchmark.json").read_bytes())
    by = {(group.entry, group.by, group.group): group for group in made.groups}
    for root, card in zip(releases, (make_points_card(), make_boxes_card()), strict=True):
        every = by[str(root), "all", "all"]
        assert (every.pictures, every.cases) == (2, 2)
        assert every.f1.value is not None
        assert every.f1.low is not None
        assert every.f1.high is not None
        assert every.f1.low <= every.f1.value <= every.f1.high
        assert every.f1.value >= 0.85
        assert every.average_precision.value is not None
        assert every.average_precision.value > 0.8
        assert every.hotspots == 2
        assert every.seconds_per_mm2 is not None
        assert by[str(root), "scanner", "Hamamatsu"].pictures == by[str(root), "tumour", "human melanoma"].pictures == 1
        entry = next(e for e in made.entries if e.name == str(root))
        assert (entry.models, entry.threshold) == ([f"{card.name}@0.0.1"], 0.5)
    perfect = by["theirs", "all", "all"]
    assert (perfect.f1.value, perfect.f1.low, perfect.pictures, perfect.hotspot_overlap) == (1.0, None, 1, 1.0)
    assert {(d.second, d.group) for d in made.differences} >= {(str(releases[1]), "all"), ("theirs", "all")}
    assert {(f.entry, f.picture) for f in made.failures} == {
        *((str(root), "003") for root in releases), ("theirs", "002"), ("theirs", "003")
    }  # fmt: skip
    page = (out / "benchmark.html").read_text()
    assert "canine lymphoma" in page
    assert RESEARCH_USE in page
    rows = list(csv.DictReader((out / "benchmark.csv").open()))
    assert len(rows) == len(made.groups)
    # A run that was stopped goes on: what is kept is not scored again, what is damaged or missing is.
    kept = sorted((out / "scored").rglob("*.json"))
    assert len(kept) == 4
    times = {path: path.stat().st_mtime_ns for path in kept}
    kept[0].unlink()
    kept[1].write_text("{")
    second = run(*arguments)
    assert second.exit_code == SOME_FAILED, second.output
    again = {path for path in kept if path.stat().st_mtime_ns != times[path]}
    assert again == set(kept[:2])
    later = Benchmark.model_validate_json((out / "benchmark.json").read_bytes())
    assert [(g.entry, g.group, g.f1) for g in later.groups] == [(g.entry, g.group, g.f1) for g in made.groups]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "give --release or --detections"),
        (("--detections", "theirs"), "give NAME=PATH"),
        (("--release", "9.9.9"), "9.9.9"),
        (("--format", "icpr2099", "--detections", "a=b"), "there is no format icpr2099"),
    ],
)
def test_wrong_arguments_are_refused_in_a_line(
    arguments: tuple[str, ...], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOSIS_STATE", str(tmp_path / "state"))
    folder = write_midog(tmp_path / "data")
    found = run(folder, "--out", tmp_path / "out", *arguments)
    assert found.exit_code != 0
    assert why in found.output
    assert "Traceback" not in found.output
