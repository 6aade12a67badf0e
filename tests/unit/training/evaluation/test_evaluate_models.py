"""`evaluate models/` judges a cascade by the threshold that serving counts by: that of the model that speaks last."""

import json
from pathlib import Path

import pytest
from PIL import Image

from serving.datasets.store import Dataset, write_store
from tests.fakes import VERIFIER_WINDOW, make_verifier_card, tissue
from tests.quick_models import quick_verification, write_quick_model, write_quick_models
from tests.unit.serving.datasets.pictures import picture
from training.evaluation.evaluate import evaluate

DET_THRESHOLD, VERIFIER_THRESHOLD = 0.3, 0.7
FIGURE, LOOK_ALIKE = (1, 1), (5, 5)
"""Squares of 125 px, column and row: what is between the two thresholds is none."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Plain tissue with a dark place, which is a figure, and a paler one, which is none."""
    pixels = tissue(1000, 1000)
    for (column, row), colour in ((FIGURE, (40, 10, 60)), (LOOK_ALIKE, (130, 60, 130))):
        pixels[row * 125 : row * 125 + 250, column * 125 : column * 125 + 250] = colour
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=1)
    of = picture([(230.0, 230.0, 270.0, 270.0)])
    dataset = Dataset(name="places", format="tests", licence="none", root=str(tmp_path), pictures=(of,))
    write_store(dataset, tmp_path / "store.json")
    return tmp_path / "store.json"


@pytest.mark.parametrize("verified", [True, False])
def test_the_threshold_is_that_of_the_model_that_speaks_last(store: Path, tmp_path: Path, *, verified: bool) -> None:
    models = write_quick_models(tmp_path / "models")
    if verified:
        card = make_verifier_card(detection=VERIFIER_THRESHOLD, candidate=0.1)
        write_quick_model(models, card, quick_verification(), window=VERIFIER_WINDOW)
    summary = evaluate(models, [store], tmp_path / "out", say=lambda _: None)
    assert summary.detection is not None
    assert summary.detection.threshold == (VERIFIER_THRESHOLD if verified else DET_THRESHOLD)
    assert [model.name for model in summary.models] == ["reg-ns", "det", *(["verifier"] if verified else [])]
    assert (summary.detection.counts.precision.value == 1) == verified, (
        "the paler place is a figure by Det's threshold alone"
    )
    assert summary.detection.counts.recall.value == 1
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["detection"]["threshold"] == pytest.approx(
        VERIFIER_THRESHOLD if verified else DET_THRESHOLD
    )
