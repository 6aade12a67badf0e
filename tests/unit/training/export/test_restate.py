"""The same weights as another version: fuller cards, whose count calibration serving applies."""

from pathlib import Path

import pytest
from PIL import Image

from serving.core.modelcard import load_card
from serving.datasets.store import Picture
from tests.fakes import plant, tissue
from tests.quick_models import write_quick_models
from tests.unit.serving.datasets.pictures import picture
from training.evaluation.cascade_figures import EVERYWHERE, EXACT, compare_outcomes, score_pictures
from training.export.restate import cross_calibrate, estimate_count, restate

DOTS = {"A00": ((300, 300), (700, 500)), "A02": ((420, 610),)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fields")


@pytest.fixture(scope="module")
def fields(root: Path) -> list[Picture]:
    made = []
    for patient, dots in DOTS.items():
        pixels = tissue(1000, 1000)
        for x, y in dots:
            plant(pixels, x, y)
        Image.fromarray(pixels).save(root / f"{patient}.png", compress_level=1)
        boxes = [(x - 12.0, y - 12.0, x + 12.0, y + 12.0) for x, y in dots]
        made.append(picture(boxes, name=patient, patient=patient))
    return made


def test_a_version_is_stated_again(fields: list[Picture], root: Path, tmp_path: Path) -> None:
    models = write_quick_models(tmp_path / "models", "0.1.0")
    figures = score_pictures(models, "0.1.0", fields, root, [], everywhere=True, say=lambda _: None)
    assert list(figures.outcomes) == [EXACT, EVERYWHERE]
    same = compare_outcomes(figures, EXACT)
    assert (same.drift_max, same.shared) == (0, same.true_positives)
    restate(models, "0.1.0", "0.1.1", figures, fields, data="dots", say=lambda _: None)
    old, new = (load_card(models / "reg-ns" / version) for version in ("0.1.0", "0.1.1"))
    assert new.files == old.files
    assert new.count_calibration is not None
    assert new.count_calibration.slides == len(DOTS)
    assert "true_positives_of_det_everywhere_that_the_cascade_keeps" in load_card(models / "det" / "0.1.1").figures
    analyses = figures.outcomes[EXACT].analyses
    calibration, _ = cross_calibrate(analyses, fields, "dots")
    counted = [estimate_count(analysis, calibration) for analysis in analyses]
    assert sum(counted) == pytest.approx(sum(map(len, DOTS.values())), abs=0.5)
    with pytest.raises(FileExistsError, match=r"0\.1\.1"):
        restate(models, "0.1.0", "0.1.1", figures, fields, data="dots", say=lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"9\.9\.9"):
        restate(models, "9.9.9", "9.9.10", figures, fields, data="dots", say=lambda _: None)


def test_a_calibration_that_does_not_hold_on_another_slide_is_not_stated(
    fields: list[Picture], root: Path, tmp_path: Path
) -> None:
    """The dots of A02 are no figures: what A00 teaches counts them."""
    others = [f if f.patient == "A00" else f.model_copy(update={"annotations": ()}) for f in fields]
    models = write_quick_models(tmp_path / "models", "0.1.0")
    figures = score_pictures(models, "0.1.0", others, root, [], everywhere=False, say=lambda _: None)
    said: list[str] = []
    restate(models, "0.1.0", "0.1.1", figures, others, data="dots", say=said.append)
    card = load_card(models / "reg-ns" / "0.1.1")
    assert card.count_calibration is None
    assert "expected_count_A02_calibrated_on_the_others" in card.figures
    assert any("no count calibration" in line for line in said)
