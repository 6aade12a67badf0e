"""An ensemble judged on folds: two detectors that err apart are better together, and nothing is chosen on what it is judged by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from serving.datasets.store import Annotation, Dataset, Picture, write_store
from training.cli.judge_ensemble import command
from training.evaluation.fold_detections import FoldDetections, PictureDetections
from training.evaluation.fused_folds import judge_fused_folds

PATIENTS = ("a", "b", "c", "d")
GRID = np.stack(np.meshgrid(np.arange(8), np.arange(5)), -1).reshape(-1, 2).astype(np.float64) * 220 + 100


def _true(patient: str) -> NDArray[np.bool_]:
    return np.asarray(np.random.default_rng([1, *patient.encode()]).permutation(len(GRID)) < 20)


def _store() -> Dataset:
    pictures = []
    for patient in PATIENTS:
        marks = tuple(
            Annotation(box=(x - 12, y - 12, x + 12, y + 12), label="mitotic figure", agreement=1.0)
            for x, y in GRID[_true(patient)].tolist()
        )
        pictures.append(
            Picture(
                id=patient,
                path=f"{patient}.png",
                width=2000,
                height=1200,
                mpp=0.25,
                slide=patient,
                patient=patient,
                annotations=marks,
            )
        )
    return Dataset(name="grid", format="tests", licence="none", root=".", pictures=tuple(pictures))


def _write_folds(folder: Path, seed: int, *, seen: Sequence[str] = (), patients: Sequence[str] = PATIENTS) -> Path:
    """One fold a patient: every place of the grid, with log odds that are a little higher where it is a figure."""
    folder.mkdir()
    for patient in patients:
        rng = np.random.default_rng([seed, *patient.encode()])
        logits = np.where(_true(patient), 0.8, -0.8) + rng.normal(0, 1.2, len(GRID))
        rows = [
            (x + 4, y - 3, p) for (x, y), p in zip(GRID.tolist(), (1 / (1 + np.exp(-logits))).tolist(), strict=True)
        ]
        fold = FoldDetections(
            fold=patient,
            seen=[*seen, *(other for other in PATIENTS if other != patient)],
            pictures=[PictureDetections(dataset="grid", picture=patient, detections=rows)],
        )
        (folder / f"{patient}.json").write_text(fold.model_dump_json(), "utf-8")
    return folder


def test_two_that_err_apart_are_better_together(tmp_path: Path) -> None:
    found = {name: sorted(_write_folds(tmp_path / name, seed).glob("*.json")) for seed, name in enumerate("xy")}
    judgement = judge_fused_folds(found, [_store()])
    assert [source.source for source in judgement.sources] == ["all", "grid"]
    whole = judgement.sources[0]
    assert (whole.pictures, whole.figures) == (4, 80)
    x, y, both = whole.detectors
    assert [one.name for one in (x, y, both)] == ["x", "y", "ensemble"]
    assert both.average_precision.value is not None
    for alone in (x, y):
        assert alone.average_precision.value is not None
        assert both.average_precision.value > alone.average_precision.value
        assert alone.average_precision_gain is not None
        assert alone.average_precision_gain.value == pytest.approx(
            both.average_precision.value - alone.average_precision.value
        )
    assert sum(judgement.weights.values()) == pytest.approx(1)


def test_the_command_writes_and_says_it_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    store = tmp_path / "grid.json"
    write_store(_store(), store)
    for seed, name in enumerate("xy"):
        _write_folds(tmp_path / name, seed)
    _write_folds(tmp_path / "part", 3, patients=PATIENTS[:3])
    _write_folds(tmp_path / "flatterer", 4, seen=("a",))

    def run(*detectors: str) -> tuple[str, BaseException | None]:
        arguments = [f"--detector={one}" for one in detectors]
        out = ["--data", str(store), "--out", str(tmp_path / "out" / "judged.json")]
        result = CliRunner().invoke(command, [*arguments, *out])
        return result.output, result.exception

    said, error = run(f"x={tmp_path / 'x'}", f"y={tmp_path / 'y'}")
    assert error is None
    assert "ensemble: F1 " in said
    assert (tmp_path / "out" / "judged.json").is_file()
    for detectors, message in (
        ((f"x={tmp_path / 'x'}",), "at least two detectors"),
        ((f"x={tmp_path / 'x'}", "y"), "give a name and a folder"),
        ((f"x={tmp_path / 'x'}", f"y={tmp_path / 'none'}"), "holds no JSON file"),
        ((f"x={tmp_path / 'x'}", f"y={tmp_path / 'part'}"), "have no detections"),
        ((f"x={tmp_path / 'x'}", f"y={tmp_path / 'flatterer'}"), "its weights saw patients a"),
    ):
        _, error = run(*detectors)
        assert isinstance(error, ValueError)
        assert message in str(error)
