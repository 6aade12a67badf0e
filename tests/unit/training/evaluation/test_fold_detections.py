"""From stores and detections to what is judged; weights that saw a part of it judge nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from serving.datasets.documents import read_document
from serving.datasets.store import Annotation, Dataset, Picture, write_store
from training.cli.group import main
from training.evaluation.fold_detections import (
    FoldDetections,
    PictureDetections,
    describe_cascade,
    measure_looked_at,
    pair_pictures,
)


def picture(name: str, patient: str, **more: object) -> Picture:
    values: dict[str, object] = {"id": name, "path": f"{name}.png", "width": 2000, "height": 1000, "mpp": 0.25}
    return Picture.model_validate({**values, "slide": patient, "patient": patient, **more})


def mark(x: float, y: float, label: str = "mitotic figure") -> Annotation:
    return Annotation.model_validate(
        {"box": (x - 25, y - 25, x + 25, y + 25), "label": label, "agreement": float(label == "mitotic figure")}
    )


def store(*pictures: Picture, name: str = "fields") -> Dataset:
    return Dataset(name=name, format="tests", licence="none", root="/", pictures=pictures)


def fold(name: str, seen: list[str], *pictures: str, dataset: str = "fields") -> FoldDetections:
    """Each figure of `label` is found, and one place that is none."""
    found = [(100.0, 100.0, 0.9), (500.0, 100.0, 0.8), (900.0, 100.0, 0.1)]
    return FoldDetections(
        fold=name,
        seen=seen,
        pictures=[PictureDetections(dataset=dataset, picture=p, detections=found) for p in pictures],
    )


def label(name: str, patient: str) -> Picture:
    return picture(name, patient, annotations=(mark(100, 100), mark(500, 100), mark(900, 100, "look-alike")))


def test_labels_and_detections_of_a_picture_come_together() -> None:
    pictures = pair_pictures([store(label("a", "A"), label("b", "B"))], [fold("1", ["B"], "a"), fold("2", ["A"], "b")])
    first = pictures[0]
    assert (first.name, first.group, first.fold, first.source) == ("a", "A", "1", "fields")
    assert np.asarray(first.figures).tolist() == [[100, 100], [500, 100]]
    assert np.asarray(first.look_alikes).tolist() == [[900, 100]]
    assert first.area_mm2 == pytest.approx(0.125)
    assert np.asarray(first.scores).tolist() == [0.9, 0.8, 0.1]


def test_what_nobody_looked_at_is_neither_figure_nor_false() -> None:
    half = label("a", "A").model_copy(
        update={"unlabelled_areas": ((0.0, 0.0, 300.0, 1000.0),), "ambiguous_areas": ((475.0, 75.0, 525.0, 125.0),)}
    )
    (judged,) = pair_pictures([store(half)], [fold("1", [], "a")])
    assert np.asarray(judged.figures).tolist() == [[500, 100]]
    assert np.asarray(judged.detections).tolist() == [[500, 100], [900, 100]]
    assert np.asarray(judged.ambiguous).tolist() == [[500, 100]]
    assert judged.area_mm2 == pytest.approx(0.125 * 1700 / 2000, rel=1e-3)


def test_overlapping_areas_count_once() -> None:
    twice = picture("a", "A", unlabelled_areas=((0, 0, 1000, 1000), (500, 0, 1500, 1000)))
    assert measure_looked_at(twice, 0.25) == pytest.approx(0.125 / 4, rel=1e-3)
    small = picture("b", "A", width=20, height=10, unlabelled_areas=((0, 0, 10, 10),))
    assert measure_looked_at(small, 1.0) == pytest.approx(1e-4)


def test_weights_that_saw_a_crop_of_a_held_out_case_are_refused() -> None:
    """The crops are in another data set and of another scanner: the case has one name, and that is enough."""
    stores = [store(label("H03", "mitos/03"), label("A00", "mitos/00"))]
    clean = [fold("1", ["mitos/00", "tupac16/27"], "H03"), fold("2", ["mitos/03"], "A00")]
    assert len(pair_pictures(stores, clean)) == 2
    planted = fold("1", ["mitos/00", "mitos/03"], "H03")
    with pytest.raises(ValueError, match="fold 1: its weights saw patients mitos/03, whose pictures they are to judge"):
        pair_pictures(stores, [planted, clean[1]])


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([fold("1", [], "a")], "1 labelled pictures have no detections, b of fields the first"),
        ([fold("1", [], "a", "b"), fold("2", [], "a")], "picture a is judged by the folds 1 and 2"),
        ([fold("1", [], "a", "b", "c")], "no store fields has a picture c"),
        ([fold("1", [], "a", dataset="frames")], "no store frames has a picture a"),
    ],
)
def test_what_does_not_fit_is_named(folds: list[FoldDetections], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pair_pictures([store(label("a", "A"), label("b", "B"))], folds)


def test_a_picture_without_a_resolution_is_not_judged() -> None:
    with pytest.raises(ValueError, match="states no resolution"):
        pair_pictures([store(picture("a", "A", mpp=None))], [fold("1", [], "a")])


def test_two_stores_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two stores are called fields"):
        pair_pictures([store(label("a", "A")), store(label("a", "A"))], [fold("1", [], "a")])


def test_folds_of_cascades_that_differ_by_more_than_their_weights_are_no_judgement() -> None:
    one = fold("1", [], "a").model_copy(
        update={"screening": 0.1, "made_by": {"det": "recipe 0123456789ab"}, "models": ["det of run 1"]}
    )
    unstated = fold("2", [], "b")
    together = describe_cascade([one, unstated])
    assert (together.screening, together.made_by) == (0.1, {"det": "recipe 0123456789ab"})
    assert together.models == ["det of run 1"]
    with pytest.raises(ValueError, match=r"fold 2 was screened at 0\.2, another at 0\.1"):
        describe_cascade([one, unstated.model_copy(update={"screening": 0.2})])
    other = unstated.model_copy(update={"made_by": {"det": "recipe ba9876543210"}})
    with pytest.raises(ValueError, match="fold 2: its det is made by recipe ba9876543210, that of another fold by"):
        describe_cascade([one, other])


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fold.json"
    path.write_text(
        json.dumps({"fold": "1", "seen": [], "pictures": [{"dataset": "x", "picture": "a", "detections": [[1]]}]})
    )
    with pytest.raises(ValueError, match=r"fold\.json: pictures\.0\.detections\.0"):
        read_document(path, FoldDetections)


def _files(folder: Path, seen: list[str]) -> list[str]:
    """Arguments of the command: a store of four patients, and a file for each of two folds."""
    write_store(store(*(label(p.lower(), p) for p in "ABCD")), folder / "store.json")
    for name, kept, pictures in (("1", seen, "ab"), ("2", ["A", "B"], "cd")):
        (folder / f"{name}.json").write_text(fold(name, kept, *pictures).model_dump_json())
    return [
        "training", "cross-validate", str(folder / "1.json"), str(folder / "2.json"),
        "--data", str(folder / "store.json"), "--out", str(folder / "out"),
    ]  # fmt: skip


def test_the_command_writes_a_judgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", _files(tmp_path, ["C", "D"]))
    main()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"judgement.json", "judgement.md", "judgement.png"}
    said = capsys.readouterr().out
    assert "| pooled | 4 | 8 | 1.000" in said
    assert "Research Use Only" in said


@pytest.mark.parametrize(
    ("seen", "more", "message"),
    [
        (["C", "B"], [], "its weights saw patients B"),
        (["C"], ["--rule", "guess"], "there is no threshold rule 'guess'"),
        (["C"], ["--data", "absent.json"], "absent.json"),
    ],
)
def test_the_command_says_what_is_wrong_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[str], more: list[str], message: str
) -> None:
    monkeypatch.setattr("sys.argv", [*_files(tmp_path, seen), *more])
    with pytest.raises(SystemExit, match=message):
        main()
    assert not (tmp_path / "out").exists()
