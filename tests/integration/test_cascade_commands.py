"""Any store can train the cascade's models, judge them and reach a release by the commands; on generated tissue."""

import json
import sys
from pathlib import Path

import pytest
import torch

from serving.core.modelcard import ModelCard, load_card
from serving.datasets.documents import read_document
from serving.datasets.store import Dataset, read_store, write_store
from serving.registry.version_check import check_version
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from tests.limits import LONGEST_S
from training.cli.group import main
from training.evaluation.fold_detections import FoldDetections, PictureDetections
from training.evaluation.judgement import JudgedCascade, Judgement
from training.paper.scale_data import generate_data

pytestmark = pytest.mark.integration

COMMON = """
backbone = "micro"
batch = 2
learning_rate = 1e-3
precision = "float32"
clip_norm = 5.0
"""
CASCADE = 'kind = "cascade"\nwindows = 4\n' + COMMON + "\n[mix]\nevent = 1.0\nbackground = 1.0\n"
VERIFIER = (
    'kind = "verifier"\nsteps = 4\nnuclei_per_field = 60\naveraging = 0.9\naveraging_warmup = true\n'
    + COMMON
    + '\n[[draw]]\nlabel = "figure"\ncount = 2\n\n[[draw]]\nlabel = "other"\ncount = 3\n'
    + "\n[mining]\nat = [0, 2]\ncap = 0.8\n\n[geometry]\nwindow_px = 96\n"
)


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    main()


def _spread(weights: Path) -> None:
    """Make a Det that hardly learnt tell boxes apart: equal probabilities have no order that two runtimes share."""
    state = torch.load(weights, weights_only=True)
    for name, factor in (
        ("det.rpn.head.cls_logits.weight", 20),
        ("det.rpn.head.bbox_pred.weight", 30),
        ("det.roi.box_predictor.cls_score.weight", 10),
        ("det.roi.box_predictor.bbox_pred.weight", 30),
    ):
        state[name] *= factor
    torch.save(state, weights)


def test_from_a_store_to_a_released_cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    store = tmp_path / "store.json"
    write_store(generate_data(tmp_path / "data", patients=2, tests=1, side=1000), store)
    for name, recipe in (("cascade", CASCADE), ("verifier", VERIFIER)):
        (tmp_path / f"{name}.toml").write_text(recipe)
        _run(monkeypatch, "train", tmp_path / f"{name}.toml", "--data", store, "--validation", 0,
             "--test-patients", "test-02", "--out", tmp_path / name)  # fmt: skip
    _spread(tmp_path / "cascade" / "model.pt")
    assert {p.name for p in (tmp_path / "verifier").glob("renewed-*.pt")} == {"renewed-0.pt", "renewed-2.pt"}
    with pytest.raises(SystemExit, match="never saw train-00"):
        _run(monkeypatch, "leave-one-slide-out", tmp_path / "cascade", "--data", store, "--verifier", tmp_path / "verifier",
             "--screening", 0.1, "--out", tmp_path / "e.json")  # fmt: skip

    dataset = json.loads(store.read_text())
    unseen = tmp_path / "unseen.json"
    dataset["pictures"] = [p for p in dataset["pictures"] if p["patient"] == "test-02"]
    unseen.write_text(json.dumps(dataset))
    _run(monkeypatch, "leave-one-slide-out", tmp_path / "cascade", "--data", unseen, "--verifier", tmp_path / "verifier",
         "--screening", 0.0, 9.0, "--out", tmp_path / "evaluation.json")  # fmt: skip
    judged = json.loads((tmp_path / "evaluation.json").read_text())
    assert (judged["data"], judged["pictures"]) == ("generated tissue", 1)

    weights = ["--regns", tmp_path / "cascade", "--det", tmp_path / "cascade", "--verifier", tmp_path / "verifier"]
    _run(monkeypatch, "detect-fold", *weights, "--screening", 0.0, "--data", unseen, "--patient", "test-02",
         "--out", tmp_path / "test-02.json")  # fmt: skip
    fold = read_document(tmp_path / "test-02.json", FoldDetections)
    assert (fold.screening, fold.seen) == (0.0, ["train-00", "train-01"])
    assert {by.split()[0] for by in fold.made_by.values()} == {"recipe"}
    (found,) = fold.pictures
    assert found.sub_tiles == found.passed > 0
    _write_other_fold(tmp_path / "others.json", fold, read_store(store))
    _run(monkeypatch, "cross-validate", tmp_path / "test-02.json", tmp_path / "others.json", "--data", store,
         "--out", tmp_path / "judged")  # fmt: skip

    release = ["release", "0.1.0", *weights, "--data", store, "--judgement", tmp_path / "judged" / "judgement.json",
               "--out", tmp_path / "models"]  # fmt: skip
    with pytest.raises(SystemExit, match=r"the folds were screened at 0, the release is to be at 0\.2"):
        _run(monkeypatch, *release, "--screening", 0.2)
    assert not (tmp_path / "models").exists()
    _run(monkeypatch, *release)
    detector = load_cascade(newest_release(tmp_path / "models"), providers=["CPUExecutionProvider"])
    assert detector.verification_card is not None
    assert detector.verification_card.input.window_px == 96
    judged = read_document(tmp_path / "judged" / "judgement.json", Judgement)
    for name, recipe in (("reg-ns", "cascade"), ("det", "cascade"), ("verifier", "verifier")):
        card = load_card(tmp_path / "models" / name / "0.1.0")
        said = " ".join(f"{source.name} {source.use} {source.licence}" for source in card.data)
        assert "2 pictures of 2 patients" in said
        assert "CC0-1.0" in said
        assert "seed 0" in said
        assert f"{recipe} by recipe" in said
        assert "generated tissue" in card.evaluation
        assert "are others and are not judged" in card.evaluation
        assert "learnt nothing from test-02" in " ".join(card.limits)
        assert "on real windows" in card.weights
        assert max(check_version(tmp_path / "models" / name / "0.1.0", window_s=LONGEST_S).parity.values()) < 0.05
    _states_the_judgement(load_card(tmp_path / "models" / "verifier" / "0.1.0"), judged)
    screening = load_card(tmp_path / "models" / "reg-ns" / "0.1.0").screening_threshold
    assert screening is not None
    assert (screening.score, screening.how_chosen) == (0.0, "given; the judged folds were screened at it")
    assert "100.0% of sub-tiles passed" in screening.achieved

    # A second release takes Reg-NS and Det as they are; a judgement of other weights is none of it.
    kept = ["--verifier", tmp_path / "verifier", "--keep", "regns=0.1.0", "det=0.1.0", "--base", tmp_path / "models"]
    with pytest.raises(
        SystemExit, match=r"whose (reg-ns|det) is made by recipe [0-9a-f]+, that of the release by weights"
    ):
        _run(monkeypatch, *release[:1], "0.1.1", *kept, *release[-4:])
    unstated = judged.model_copy(update={"cascade": JudgedCascade()})
    (tmp_path / "unstated.json").write_text(unstated.model_dump_json())
    _run(
        monkeypatch, "release", "0.1.1", *kept, "--judgement", tmp_path / "unstated.json", "--out", tmp_path / "models"
    )
    for name in ("reg-ns", "det", "verifier"):
        old, new = (load_card(tmp_path / "models" / name / version) for version in ("0.1.0", "0.1.1"))
        assert (old.files, new.version) == (new.files, "0.1.1")
        assert ("The weights are those of 0.1.0" in new.evaluation) == (name != "verifier")
    with pytest.raises(SystemExit, match="versions never change"):
        _run(monkeypatch, *release)


def _write_other_fold(path: Path, first: FoldDetections, dataset: Dataset) -> None:
    """Detections of the other pictures, by weights that state to be made as those of the first fold: every figure but one."""
    pictures = []
    for picture in dataset:
        if picture.labelled and picture.patient != "test-02":
            centres = picture.centres()[1:]
            rows = [(float(x), float(y), 0.9) for x, y in centres] + [(1.0, 1.0, 0.2)]
            pictures.append(
                PictureDetections(dataset=dataset.name, picture=picture.id, detections=rows, sub_tiles=49, passed=49)
            )
    fold = first.model_copy(update={"fold": "others", "seen": ["test-02"], "pictures": pictures})
    path.write_text(fold.model_dump_json())


def _states_the_judgement(card: ModelCard, judged: Judgement) -> None:
    assert card.detection_threshold is not None
    assert card.probability_calibration is not None
    assert card.figure_count is not None
    assert card.detection_threshold.probability == judged.release.threshold
    assert card.probability_calibration.map == judged.release.calibration_map
    assert card.figure_count.factor == judged.release.count_factor
    assert card.figures["cross_validated_pooled_f1"] == round(judged.pooled.f1.value or 0, 4)
    assert [row.slide for row in card.per_slide] == [
        f"{group.group} ({source.name})" for source in judged.sources for group in source.groups
    ]
