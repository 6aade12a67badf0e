"""A judged classifier of atypical figures becomes a version that serves, with a card that says what was judged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from serving.core.modelcard import load_card
from serving.core.probability import LogitAffine
from serving.datasets.store import Dataset, write_store
from serving.registry.version_check import check_version
from serving.scoring.detector import find_atypia
from serving.scoring.loading import load_detector
from tests.limits import LONGEST_S
from tests.miniatures.cards import make_points_card, write_miniature
from tests.unit.training.evaluation.test_atypia import OVERRIDES, dataset  # noqa: F401 - a fixture
from training.cli.release_atypia import command
from training.data.combined_stores import combine_datasets
from training.engine.distributed import Process
from training.evaluation.atypia import AtypiaJudgement, judge_atypia
from training.export.atypia_release import release_atypia
from training.recipes.runs import RunRequest, train_run


@pytest.fixture
def finished(dataset: Dataset, tmp_path: Path) -> tuple[Path, AtypiaJudgement]:  # noqa: F811 - the fixture
    """A run of all crops, and the judgement of two that each left half of the cases out."""
    store, changes = tmp_path / "crops.json", tmp_path / "tiny.toml"
    write_store(dataset, store)
    changes.write_text(OVERRIDES)
    runs = []
    for name, left in (("all", ()), ("one", ("case/a", "case/b")), ("two", ("case/c", "case/d"))):
        request = RunRequest("atypia", (store,), overrides=changes, initial="none", validation=0, test_patients=left)
        train_run(request, tmp_path / name, Process(0, 1, torch.device("cpu")), say=lambda _: None)
        runs.append(tmp_path / name)
    return runs[0], judge_atypia(runs[1:], combine_datasets([dataset]), draws=20, say=lambda _: None)


def test_a_run_becomes_a_version_that_serves(finished: tuple[Path, AtypiaJudgement], tmp_path: Path) -> None:
    run, judgement = finished
    (tmp_path / "atypia.json").write_text(judgement.model_dump_json())
    models = tmp_path / "models"
    arguments = [str(run), "--judgement", str(tmp_path / "atypia.json"), "--version", "0.3.0", "--out", str(models)]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    folder = models / "atypia" / "0.3.0"
    card = load_card(folder)
    assert check_version(folder, window_s=LONGEST_S, providers=["CPUExecutionProvider"]).parity["probabilities"] < 1e-4
    assert card.probability_calibration is not None
    assert card.probability_calibration.map == LogitAffine(slope=judgement.slope, intercept=judgement.intercept)
    assert card.atypical_threshold is not None
    assert card.atypical_threshold.probability == judgement.threshold
    value = judgement.sources[0].balanced_accuracy
    assert str(card.figures["cross_validated_all_balanced_accuracy"]).startswith(f"{value.value:.3f}".lstrip("0"))
    assert any("candidates of a cascade" in limit for limit in card.limits)
    assert any("crops (tests): 16 pictures" in source.name for source in card.data)
    assert "float16" in card.weights
    write_miniature(models, make_points_card())
    atypia = find_atypia(load_detector(models, providers=["CPUExecutionProvider"]))
    assert atypia is not None
    assert atypia.classify(np.zeros((3, 64, 64, 3), np.uint8)).shape == (3,)
    with pytest.raises(FileExistsError, match="versions never change"):
        release_atypia(run, judgement, version="0.3.0", models=models)


def test_what_was_not_judged_is_not_released(finished: tuple[Path, AtypiaJudgement], tmp_path: Path) -> None:
    run, judgement = finished
    other = judgement.sources[1].model_copy(update={"source": "others"})
    of_others = judgement.model_copy(update={"sources": [judgement.sources[0], other]})
    with pytest.raises(ValueError, match=r"the judgement is of others, and .* learnt from crops"):
        release_atypia(run, of_others, version="0.3.0", models=tmp_path / "models")
    with pytest.raises(ValueError, match="give a version of the form"):
        release_atypia(run, judgement, version="v3", models=tmp_path / "models")
    (tmp_path / "bad.json").write_text("{}")
    result = CliRunner().invoke(
        command,
        [str(run), "--judgement", str(tmp_path / "bad.json"), "--version", "0.3.0", "--out", str(tmp_path / "m")],
    )
    assert result.exit_code != 0
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "m").exists()
