"""A release of models that stay: which judgement it takes, and what the cards then state."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from serving.core.modelcard import load_card
from serving.scoring.models import list_models
from tests.quick_models import write_quick_models
from tests.unit.training.evaluation.test_judge import several
from training.evaluation.judge import judge
from training.evaluation.judgement import JudgedCascade, Judgement, ModelName
from training.export.parts import CascadeParts, find_kept_versions, fold_parts
from training.export.release import release


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"), "0.1.0")


@pytest.fixture(scope="module")
def parts(models: Path) -> CascadeParts:
    return CascadeParts(kept=find_kept_versions(["regns=0.1.0", "det=0.1.0"], models))


def _judge(**stated: object) -> Judgement:
    pictures = [replace(p, sub_tiles=100, passed=25) for p in several()]
    return judge(pictures, draws=20, cascade=JudgedCascade.model_validate(stated))


def test_models_that_stay_state_the_new_judgement_and_keep_their_own_figures(
    parts: CascadeParts, tmp_path: Path
) -> None:
    judged = _judge(made_by=parts.made_by(), screening=0.3, models=["det 0.1.0"])
    regns, det = release(
        parts, judged, version="0.2.0", models=tmp_path, limits=["Every third frame was judged."], say=lambda _: None
    )
    assert [card.version for card in list_models(tmp_path)] == ["0.2.0", "0.2.0"]
    assert regns.screening_threshold is not None
    assert regns.screening_threshold.score == 0.3
    assert "25.0% of sub-tiles passed" in regns.screening_threshold.achieved
    assert "83.3% of the figures were among the candidates" in regns.screening_threshold.achieved
    assert regns.figures["cross_validated_one_share_of_sub_tiles_passed"] == 0.25
    assert "The weights are those of 0.1.0" in regns.evaluation
    assert det.detection_threshold is not None
    assert det.detection_threshold.probability == judged.release.threshold, "without a verifier Det speaks last"
    assert "The folds' detections were of det 0.1.0. Sub-tiles were screened at 0.3." in det.evaluation
    for old, new in zip(parts.kept.values(), (regns, det), strict=True):
        assert load_card(old).files == new.files
        assert new.limits[0].startswith("Judged on 96 figures of 4 groups of one, two")
        assert new.limits[-1] == "Every third frame was judged."


def test_figures_carry_the_version_that_they_are_of(models: Path, tmp_path: Path) -> None:
    card = load_card(models / "det" / "0.1.0")
    stated = {"f1": 0.5, "recall_0.0.9": 0.4}
    folder = tmp_path / "old" / "det" / "0.1.0"
    folder.mkdir(parents=True)
    for name in card.files:
        (folder / name).write_bytes((models / "det" / "0.1.0" / name).read_bytes())
    (folder / "card.json").write_text(card.model_copy(update={"figures": stated}).model_dump_json())
    kept: dict[ModelName, Path] = {"reg-ns": models / "reg-ns" / "0.1.0", "det": folder}
    _, det = release(CascadeParts(kept=kept), _judge(), version="0.2.0", models=tmp_path / "new", say=lambda _: None)
    assert (det.figures["f1_0.1.0"], det.figures["recall_0.0.9"]) == (0.5, 0.4)
    assert not {"f1", "recall_0.0.9_0.1.0"} & det.figures.keys()


def test_a_fold_keeps_the_versions_that_are_named_and_takes_the_rest_of_another(models: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    for name in ("reg-ns", "det"):
        shutil.copytree(models / name / "0.1.0", both / name / "0.1.0")
        shutil.copytree(models / name / "0.1.0", both / name / "0.2.0")
    parts = fold_parts(None, None, (), models=both, version="0.2.0", keep=["reg-ns=0.1.0"])
    assert parts.kept == {"reg-ns": both / "reg-ns" / "0.1.0", "det": both / "det" / "0.2.0"}
    assert fold_parts(None, None, (), models=both, version=None, keep=["reg-ns=0.1.0", "det=0.1.0"]).names == (
        "reg-ns",
        "det",
    )
    for wrong in (
        {"models": both, "version": None, "keep": ()},
        {"models": None, "version": None, "keep": ["det=0.1.0"]},
    ):
        with pytest.raises(ValueError, match="give a folder of models and their --version, or --keep, together"):
            fold_parts(None, None, (), **wrong)


@pytest.mark.parametrize(
    ("stated", "screening", "message"),
    [
        ({"made_by": {"reg-ns": f"weights {'0' * 64}"}}, None, r"whose (reg-ns|det) is made by (weights 0000|nothing)"),
        ({"made_by": {"verifier": "recipe 0123456789ab"}}, None, "that of the release by"),
        ({"screening": 0.3}, 0.2, r"screened at 0\.3, the release is to be at 0\.2"),
    ],
)
def test_a_judgement_of_something_else_is_refused(
    parts: CascadeParts, tmp_path: Path, stated: dict[str, object], screening: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        release(parts, _judge(**stated), version="0.2.0", models=tmp_path, screening=screening, say=lambda _: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["det"], "--keep det: give one of reg-ns, det, verifier with a version"),
        (["net=0.1.0"], "--keep net=0.1.0"),
        (["det=9.9.9"], "there is no such version to keep"),
    ],
)
def test_what_is_to_stay_must_be_there(models: Path, words: list[str], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_kept_versions(words, models)


def test_a_cascade_is_complete_and_each_model_has_one_source(parts: CascadeParts, models: Path) -> None:
    with pytest.raises(ValueError, match="a cascade needs a det"):
        CascadeParts(kept=find_kept_versions(["regns=0.1.0"], models))
    with pytest.raises(ValueError, match="det is to be made of run and kept"):
        CascadeParts({"det": [Path("run")]}, parts.kept)
