"""A released verifier becomes one of a single view, judged by how seldom one view says less than eight."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from serving.core.errors import ModelError
from serving.core.modelcard import load_card
from serving.datasets.store import Dataset, Picture, read_store, write_store
from serving.registry.version_check import check_version
from serving.scoring.loading import load_cascade
from serving.synthetic.field import generate_field
from tests.fakes import VERIFIER_WINDOW, make_verifier_card
from tests.limits import LONGEST_S
from tests.quick_models import quick_verification, write_quick_model, write_quick_models
from training.cli import judge_views as judging
from training.cli import release_views as releasing
from training.evaluation.cascade_figures import version_folders
from training.evaluation.views import ViewedPicture, ViewsJudgement, judge_pictures, judge_views
from training.export.single_view import write_single_view
from training.export.views_release import release_views

RELEASED = Path(__file__).parents[4] / "models" / "verifier" / "2.0.0"
VERSION = "0.0.1"
LIKELIER = 0.004


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Quick models before the released verifier, whose graph has eight views."""
    if not RELEASED.is_dir():
        pytest.skip("release 2.0.0 of verifier is no longer part of the tree")
    root = write_quick_models(tmp_path / "models")
    folder = root / "verifier" / VERSION
    shutil.copytree(RELEASED, folder)
    card = load_card(folder)
    assert card.detection_threshold is not None
    # Generated figures are hardly any to a verifier that learnt from real ones: what counts here is the likelier part.
    likelier = card.detection_threshold.model_copy(update={"probability": LIKELIER})
    changed = {"version": VERSION, "detection_threshold": likelier}
    (folder / "card.json").write_text(card.model_copy(update=changed).model_dump_json())
    return root


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Generated fields of three patients."""
    pictures = []
    for seed, name in enumerate("abc", 50):
        pixels = generate_field(seed=seed, width=500, height=500, mitoses_per_mm2=400).pixels
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        pictures.append(
            Picture(
                id=name, path=f"{name}.png", width=500, height=500, mpp=0.25, slide=name, patient=name, annotations=()
            )
        )
    path = tmp_path / "fields.json"
    write_store(
        Dataset(name="fields", format="tests", licence="none", root=str(tmp_path), pictures=tuple(pictures)), path
    )
    return path


def test_eight_views_by_serving_are_what_the_graph_of_eight_said(models: Path, tmp_path: Path) -> None:
    folder = write_single_view(models / "verifier" / VERSION, tmp_path / "new")
    check_version(folder, window_s=LONGEST_S, providers=["CPUExecutionProvider"])
    windows = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    beside = {name: models / name / VERSION for name in ("reg-ns", "det")}
    old = load_cascade({**beside, "verifier": models / "verifier" / VERSION}, providers=["CPUExecutionProvider"])
    new = load_cascade({**beside, "verifier": folder}, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(new.verify(windows), old.verify(windows), atol=1e-4)
    assert np.abs(new.verify_once(windows) - new.verify(windows)).max() > 1e-4
    with pytest.raises(ValueError, match="sees one view already"):
        write_single_view(folder, tmp_path / "again")


def test_a_verifier_is_judged_and_released(models: Path, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "views.json"
    arguments = [VERSION, "--data", str(store), "--models", str(models), "--keep", "0.9", "--out", str(out)]
    result = CliRunner().invoke(judging.command, arguments)
    assert result.exit_code == 0, result.output
    judged = ViewsJudgement.model_validate_json(out.read_text())
    assert judged.candidates > judged.counted > 0
    assert judged.patients == 3
    assert judged.kept.value is not None
    assert 0 < judged.kept.value <= 1
    assert 0 < judged.first_probability < 1
    assert judged.margin == 1
    result = CliRunner().invoke(
        releasing.command, [VERSION, "--judgement", str(out), "--new", "0.0.2", "--models", str(models)]
    )
    assert result.exit_code == 0, result.output
    old, card = (load_card(models / "verifier" / version) for version in (VERSION, "0.0.2"))
    assert card.views is not None
    assert card.views.first_probability == judged.first_probability
    assert card.detection_threshold == old.detection_threshold
    assert card.evaluation.startswith(old.evaluation)
    assert f"{judged.candidates} candidates of 3 patients" in card.views.data
    with pytest.raises(FileExistsError, match="versions never change"):
        release_views(models, judged, version=VERSION, new="0.0.2")
    with pytest.raises(ValueError, match=r"not of verifier 0\.0\.2"):
        release_views(models, judged, version="0.0.2", new="0.0.3")
    with pytest.raises(ModelError, match=r"verifier/0\.9\.9"):
        release_views(models, judged, version="0.9.9", new="0.0.3")


def test_a_verifier_of_somebody_else_is_refused(tmp_path: Path) -> None:
    quick = write_quick_model(tmp_path, make_verifier_card(), quick_verification(), window=VERIFIER_WINDOW)
    with pytest.raises(ValueError, match="release it anew from its run"):
        write_single_view(quick, tmp_path / "new")


def test_a_cascade_without_a_verifier_is_refused(store: Path, tmp_path: Path) -> None:
    folders = version_folders(write_quick_models(tmp_path / "models"), VERSION)
    with pytest.raises(ValueError, match="there is no verifier"):
        judge_views([read_store(store)], folders=folders, provider="CPUExecutionProvider")


def _viewed(patient: str, first: list[float], counts: list[bool]) -> ViewedPicture:
    return ViewedPicture(patient, np.asarray(first, np.float32), np.asarray(counts, np.bool_))


def test_the_probability_of_a_patient_comes_from_the_others() -> None:
    """One view says .001 of the only figure of `b`; the others' figures are likely, so `b` alone loses one."""
    pictures = [
        _viewed("a", [0.9, 0.8, 0.0001], [True, True, False]),
        _viewed("b", [0.001], [True]),
        _viewed("c", [0.9, 0.2], [True, False]),
    ]
    judged = judge_pictures(pictures, wanted=0.999, draws=200)
    assert judged.patients == 3
    assert judged.kept.value == pytest.approx(3 / 4)
    # By `b`, the others are asked for from .0004 on; by them, `b` is from .6 on.
    assert judged.asked_again.value == pytest.approx(4 / 6)
    assert judged.first_probability < 0.001


@pytest.mark.parametrize("others", [[], [_viewed("b", [0.3], [False])]])
def test_fewer_than_two_patients_with_figures_judge_nothing(others: list[ViewedPicture]) -> None:
    with pytest.raises(ValueError, match="fewer than two patients have detections that count"):
        judge_pictures([_viewed("a", [0.9], [True]), *others], wanted=0.999, draws=200)
