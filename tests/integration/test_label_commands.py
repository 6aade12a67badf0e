"""Label commands of `python -m training`, in this process."""

import csv
import sys
from pathlib import Path

import pytest

from serving.datasets.store import Dataset, read_store, write_store
from tests.unit.serving.datasets.pictures import draw, picture
from tests.unit.training.labels.looks import looks
from training.cli.group import main
from training.labels.records import write_records
from training.labels.simulated import Campaign, simulate

pytestmark = pytest.mark.integration

CELL = (100.0, 100.0, 140.0, 140.0)
FAR = (600.0, 600.0, 630.0, 630.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tile, its store, and the records of five labelers: two drew one cell, one another."""
    tile = draw(tmp_path, picture([], name="a", labelled=False))
    write_store(
        Dataset(name="t", format="t", licence="t", root=str(tmp_path), pictures=(tile,)), tmp_path / "tiles.json"
    )
    write_records(looks([CELL], [CELL, FAR], [], [], []), tmp_path / "records.csv")
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["training", *(str(a) for a in arguments)])
        main()
        return capsys.readouterr().out

    return call


def test_records_become_a_data_set_that_an_audit_corrects(folder: Path, run) -> None:  # type: ignore[no-untyped-def]
    records, tiles, store = folder / "records.csv", folder / "tiles.json", folder / "made" / "store.json"
    said = run("aggregate", records, "--store", tiles, "--how", "crowd", "--out", store)
    assert "1  mitotic figures" in said
    assert read_store(store).pictures[0].ambiguous_areas == (FAR,)
    assert "drew 1 tiles with 1 boxes" in run("audit", "draw", store, "--tiles", 1, "--out", folder / "audit")
    answers = folder / "audit" / "answers.csv"
    answers.write_text(answers.read_text().rstrip() + "reject\n")
    said = run("audit", "read", folder / "audit", "--out", folder / "audited.json")
    assert "0 of 1 boxes confirmed: 0.0 %" in said
    assert [a.label for a in read_store(folder / "audited.json").pictures[0].annotations] == ["look-alike"]


def test_the_rule_can_be_changed(folder: Path, run) -> None:  # type: ignore[no-untyped-def]
    shared = ("aggregate", folder / "records.csv", "--store", folder / "tiles.json", "--how", "crowd")
    out = folder / "store.json"
    run(*shared, "--out", out, "--min-labelers", 1)
    assert len(read_store(out).pictures[0].annotations) == 2
    assert "0  tiles reviewed by enough labelers" in run(*shared, "--out", out, "--min-reviewers", 6)


def test_agreement_is_printed_and_written(folder: Path, run) -> None:  # type: ignore[no-untyped-def]
    said = run("agreement", folder / "records.csv", "--out", folder / "out")
    assert "| crowd | bounding box placement | 1,000 | 5 | 1 | 5 |" in said
    assert "For Research Use Only" in said
    assert (folder / "out" / "agreement.md").read_text() in said
    with (folder / "out" / "agreement.csv").open(newline="") as handle:
        (row,) = csv.DictReader(handle)
    assert (row["looks"], float(row["accuracy"])) == ("5", 0.6)


def test_errors_are_one_line_that_names_the_file(folder: Path, run) -> None:  # type: ignore[no-untyped-def]
    (folder / "records.csv").write_text("task,tile,labeler,group\nboxes,b,L1,crowd\n")
    for arguments in (
        ("agreement", folder / "records.csv"),
        ("aggregate", folder / "records.csv", "--store", folder / "tiles.json", "--how", "crowd", "--out", folder),
        ("aggregate", folder / "none.csv", "--store", folder / "tiles.json", "--how", "crowd", "--out", folder),
        ("audit", "draw", folder / "tiles.json", "--out", folder / "audit"),
        ("audit", "read", folder),
    ):
        with pytest.raises(SystemExit, match=r"error: .*(records|none)\.csv|error: .*(tiles|audit)\.json"):
            run(*arguments)


def test_simulated_labels_are_the_same_for_the_same_seed(tmp_path: Path, run) -> None:  # type: ignore[no-untyped-def]
    said = run("simulate-labels", "--out", tmp_path / "a", "--slides", 1, "--tiles", 1, "--seed", 5)
    assert "wrote 1 tiles and 92 records" in said
    simulate(Campaign(slides=1, tiles=1, seed=5), tmp_path / "b")
    name = read_store(tmp_path / "a" / "tiles-store.json").pictures[0].path
    for file in ("records.csv", name):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
