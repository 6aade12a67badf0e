"""train, evaluate and export from the command line, on generated tissue; what is exported serves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.modelcard import ModelCard, load_card
from serving.core.words import RESEARCH_USE
from serving.datasets.store import Dataset, write_store
from serving.registry.version_check import check_version
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from serving.synthetic.slide import generate_slide
from tests.limits import LONGEST_S
from training.cli.group import main
from training.evaluation.summary import EvaluationSummary
from training.models.heads.boxes import DET_THRESHOLDS
from training.models.heads.scores import REG_THRESHOLDS
from training.paper.scale_data import generate_data
from training.recipes.reading import read_recipe
from training.recipes.record import read_record
from training.recipes.runs import load_run
from training.recipes.sub_tiles import SubTileRecipe

pytestmark = pytest.mark.integration

OVERRIDES = """
backbone = "micro"
batch = 8
side = 96
epochs = 2
precision = "float32"
learning_rate = 1e-3
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, overrides, and runs of Reg-NS and Det."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "data").mkdir()
    dataset: Dataset = generate_data(folder / "data", patients=4, tests=1, side=875)
    # Every other picture as microscope cameras write them: what trains must be judged and exported too.
    pictures = []
    for number, picture in enumerate(dataset.pictures):
        if number % 2 == 0:
            path = folder / "data" / picture.path
            Image.open(path).save(path.with_suffix(".tif"), compression="tiff_lzw")
            picture = picture.model_copy(update={"path": path.with_suffix(".tif").name})  # noqa: PLW2901 - the new one
        pictures.append(picture)
    dataset = dataset.model_copy(update={"pictures": tuple(pictures)})
    write_store(dataset, folder / "store.json")
    (folder / "overrides.toml").write_text(OVERRIDES)
    for model in ("Reg-NS", "Det"):
        run(
            "train", model, "--data", folder / "store.json", "--overrides", folder / "overrides.toml", "--init", "none",
            "--validation", "0.3", "--test-patients", "test-04", "--out", folder / model,
        )  # fmt: skip
    return folder


def run(*words: object) -> None:
    """The command in this process."""
    before, sys.argv = sys.argv, ["training", *map(str, words)]
    try:
        main()
    finally:
        sys.argv = before


@pytest.fixture(scope="module")
def models(study: Path) -> Path:
    """A models folder of both runs: Reg-NS in float16, Det in int8."""
    for name, model, storage in (("reg-ns", "Reg-NS", "fp16"), ("det", "Det", "int8")):
        target = study / "models" / name / "0.1.0"
        run("export", study / model, "--data", study / "store.json", "--out", target, "--storage", storage)
    return study / "models"


def test_a_run_states_its_recipe_and_whom_it_saw(study: Path) -> None:
    recipe, patients = read_recipe(study / "Det"), read_record(study / "Det")
    assert isinstance(recipe, SubTileRecipe)
    assert (recipe.model, recipe.backbone, recipe.side, recipe.initialisation) == ("Det", "micro", 96, "none")
    assert patients is not None
    assert patients.test == ("test-04",)
    assert not set(patients.train) & set(patients.validation)
    assert len(patients.train) + len(patients.validation) == 4


def test_a_finished_run_is_kept_and_another_recipe_refused(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = (study / "Det" / "model.pt").read_bytes()
    same = ["train", "Det", "--data", study / "store.json", "--validation", "0.3", "--test-patients", "test-04"]
    run(*same, "--overrides", study / "overrides.toml", "--init", "none", "--out", study / "Det")
    assert (study / "Det" / "model.pt").read_bytes() == weights
    with pytest.raises(SystemExit, match="holds a run of another recipe"):
        run(*same, "--preset", "paper", "--init", "none", "--out", study / "Det")
    with pytest.raises(SystemExit, match="holds a run on other patients"):
        run(*same[:4], "--validation", "0.2", "--out", study / "Det", "--init", "none")
    capsys.readouterr()


def test_two_processes_train_one_run(study: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "training"]
    words = ["train", "Reg-NS", "--data", str(study / "store.json"), "--overrides", str(study / "overrides.toml")]
    done = subprocess.run(
        [*launcher, *words, "--init", "none", "--validation", "0.3", "--out", str(tmp_path / "run")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Reg-NS from random") == 1
    assert "validation" in done.stdout
    load_run(tmp_path / "run")


def test_exports_serve(study: Path, models: Path, tmp_path: Path) -> None:
    generate_slide(tmp_path / "slide.tif", seed=3, width=1024, height=1024, tissue_fraction=1.0)
    detector = load_cascade(newest_release(models), providers=["CPUExecutionProvider"])
    with open_slide(tmp_path / "slide.tif") as slide:
        report = score_slide(slide, detector).report
    scores = np.asarray([tile.scores for tile in report.tiles], np.float32)
    assert np.isfinite(scores[0]).all()
    assert [m.name for m in report.models] == ["reg-ns", "det"]
    windows = np.random.default_rng(0).integers(0, 255, (3, 250, 250, 3), np.uint8)
    together = detector.detect(windows)
    for i, found in enumerate(together):
        alone = detector.detect(windows[i : i + 1])[0]
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=0.05)


@pytest.mark.parametrize("name", ["reg-ns", "det"])
def test_cards_state_threshold_rule_data_size_and_drift(study: Path, models: Path, name: str) -> None:
    folder = models / name / "0.1.0"
    card: ModelCard = load_card(folder)
    chosen = card.screening_threshold or card.detection_threshold
    assert chosen is not None
    assert "validation patients of the run" in chosen.data
    assert card.figures["resized_to_px"] == 96
    assert "resizes sub-tiles to 96 px" in card.architecture
    assert "against float32 on" in card.weights
    assert card.research_use == RESEARCH_USE
    record = read_record(study / ("Det" if name == "det" else "Reg-NS"))
    assert record is not None
    (origin, learnt, validated) = card.data
    assert record.code in origin.name
    assert "seed 0" in origin.name
    assert origin.use == "initial weights: random"
    store = record.stores[0]
    assert f"{store.pictures} pictures of {store.patients} patients, {store.figures} figures" in learnt.name
    assert learnt.licence == "CC0-1.0"
    assert "validation patients of the run" in validated.name
    assert max(check_version(folder, window_s=LONGEST_S).parity.values()) < 1e-3


def test_versions_never_change_and_must_be_versions(study: Path, models: Path) -> None:
    with pytest.raises(SystemExit, match="versions never change"):
        run("export", study / "Det", "--data", study / "store.json", "--out", models / "det" / "0.1.0")
    with pytest.raises(SystemExit, match=r"of the form 1\.2\.3"):
        run("export", study / "Det", "--data", study / "store.json", "--out", models / "det" / "newest")


@pytest.mark.parametrize("what", ["Reg-NS", "Det", "models"])
def test_evaluations_are_complete(study: Path, models: Path, what: str, tmp_path: Path) -> None:
    assert models.is_dir()
    run("evaluate", study / what, "--data", study / "store.json", "--out", tmp_path)
    summary = EvaluationSummary.model_validate_json((tmp_path / "summary.json").read_text())
    assert summary.sub_tiles is not None
    assert summary.sub_tiles.positives > 0
    thresholds = DET_THRESHOLDS if what == "Det" else REG_THRESHOLDS
    assert [row.threshold for row in summary.sub_tiles.rates] == list(thresholds)
    # A run is judged on patients that it did not see; exported models on every picture.
    assert summary.counts.fields == (5 if what == "models" else 1)
    assert (summary.detection is None) == (what == "Reg-NS")
    drawn = {p.stem for p in tmp_path.glob("*.svg")}
    assert {"roc", "precision-recall", "sub-tile-reliability"} <= drawn
    assert drawn == {p.stem for p in tmp_path.glob("*.png")}
    assert RESEARCH_USE in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "summary.json").read_text())["research_use"] == RESEARCH_USE


def test_a_run_without_unseen_patients_is_not_judged_on_its_own(study: Path, tmp_path: Path) -> None:
    dataset = Dataset.model_validate_json((study / "store.json").read_text())
    seen = dataset.model_copy(update={"pictures": tuple(p for p in dataset.pictures if p.patient != "test-04")})
    write_store(seen, tmp_path / "seen.json")
    with pytest.raises(SystemExit, match="no labelled picture of a patient"):
        run("evaluate", study / "Det", "--data", tmp_path / "seen.json", "--out", tmp_path / "out")
