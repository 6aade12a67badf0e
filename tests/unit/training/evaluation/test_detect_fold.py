"""Detections of a fold, by the code that serves."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.card_parts import ProbabilityCalibration
from serving.core.probability import LogitAffine
from serving.datasets.documents import read_document
from serving.datasets.store import Annotation, Dataset, Picture, write_store
from serving.scoring.verification import EQUAL_SHARE, pool_probabilities
from tests.fakes import DotDetector, make_verifier_card, plant, tissue
from tests.quick_models import write_quick_models
from training.cli.group import main
from training.evaluation.detect_fold import detect_fold, patients_seen
from training.evaluation.fold_detections import FoldDetections, describe_cascade, pair_pictures, with_share
from training.evaluation.judgement import ModelName
from training.evaluation.verify_fold import verify_fold

DOTS = ((300, 200), (700, 400))


@pytest.fixture
def store(tmp_path: Path) -> Dataset:
    """A picture with two dots for each of two patients; in the second a dot is no figure."""
    pixels = tissue(1000, 600)
    for x, y in DOTS:
        plant(pixels, x, y)
    pictures = []
    for name, patient, figures in (("a", "mitos/03", DOTS), ("b", "mitos/00", DOTS[:1])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        marks = tuple(
            Annotation(box=(x - 12, y - 12, x + 12, y + 12), label="mitotic figure", agreement=1) for x, y in figures
        )
        pictures.append(
            Picture(
                id=name,
                path=f"{name}.png",
                width=1000,
                height=600,
                mpp=0.25,
                slide=name,
                patient=patient,
                annotations=marks,
            )
        )
    return Dataset(name="dots", format="tests", licence="none", root=str(tmp_path), pictures=tuple(pictures))


def test_detections_are_those_of_serving_and_are_judged(store: Dataset) -> None:
    folds = [
        fold
        for patient in ("mitos/03", "mitos/00")
        for fold in detect_fold(
            DotDetector(), [store], [patient], fold=patient, seen=["tupac16/27"], say=lambda _: None
        )
    ]
    assert [p.picture for f in folds for p in f.pictures] == ["a", "b"]
    places = np.asarray(folds[0].pictures[0].detections)[:, :2]
    assert sorted(map(tuple, places.round().tolist())) == sorted(DOTS)
    assert folds[0].screening == 0.05
    assert 0 < folds[0].pictures[0].passed < folds[0].pictures[0].sub_tiles
    first, second = pair_pictures([store], folds)
    assert first.to_field_detections().outcomes().hits.tolist() == [True, True]
    assert sorted(second.to_field_detections().outcomes().hits.tolist()) == [False, True]


def test_a_verifiers_and_dets_opinions_are_kept_apart_and_joined_by_any_share(store: Dataset) -> None:
    detector = DotDetector(verification_card=make_verifier_card())
    (fold,) = detect_fold(detector, [store], ["mitos/03"], fold="1", seen=[], say=lambda _: None)
    assert fold.detector_share == EQUAL_SHARE
    (found,) = fold.pictures
    assert len(found.opinions) == len(found.detections) == 2
    said = np.asarray(found.opinions, np.float32)
    joint = np.asarray(found.detections)[:, 2]
    np.testing.assert_allclose(joint, pool_probabilities(said[:, 0], said[:, 1]), atol=1e-6)
    alone = np.asarray(with_share(fold, 1.0).pictures[0].detections)[:, 2]
    np.testing.assert_allclose(alone, pool_probabilities(said[:, 0], said[:, 0]), atol=1e-6)
    quarter = with_share(fold, 0.25)
    assert describe_cascade([quarter]).detector_share == 0.25
    with pytest.raises(ValueError, match=r"0\.25 and 0\.5 of the say"):
        describe_cascade([quarter, fold])
    bare = fold.model_copy(update={"pictures": [found.model_copy(update={"opinions": []})]})
    with pytest.raises(ValueError, match="does not state what Det and the verifier say of a apart"):
        with_share(bare, 0.25)


def test_another_verifier_is_asked_about_the_same_candidates(store: Dataset) -> None:
    both = DotDetector(verification_card=make_verifier_card())
    (alone,) = detect_fold(DotDetector(), [store], ["mitos/03"], fold="1", seen=["tupac16/27"], say=lambda _: None)
    (whole,) = detect_fold(both, [store], ["mitos/03"], fold="1", seen=["tupac16/27"], say=lambda _: None)
    made: dict[ModelName, str] = {"verifier": "recipe 12345678"}
    for earlier in (alone, whole):
        later = verify_fold(both, earlier, [store], seen=["midog/002"], made_by=made, say=lambda _: None)
        assert later.seen == ["midog/002", "tupac16/27"]
        assert later.made_by["verifier"] == "recipe 12345678"
        assert later.made_by["det"] == earlier.made_by["det"]
        (now,), (before,) = later.pictures, whole.pictures
        assert (now.sub_tiles, now.passed) == (before.sub_tiles, before.passed)
        np.testing.assert_allclose(sorted(now.detections), sorted(before.detections), atol=1e-4)
        np.testing.assert_allclose(sorted(now.opinions), sorted(before.opinions), atol=1e-4)
    with pytest.raises(ValueError, match="its weights saw patients mitos/03"):
        verify_fold(both, alone, [store], seen=["mitos/03"])
    with pytest.raises(ValueError, match="no verifier to ask"):
        verify_fold(DotDetector(), alone, [store], seen=[])
    with pytest.raises(ValueError, match="no store has picture a"):
        verify_fold(both, alone, [store.model_copy(update={"name": "other"})], seen=[])


def test_several_screening_scores_are_tried_for_the_time_of_the_lowest(store: Dataset) -> None:
    once, twice = (DotDetector(verification_card=make_verifier_card()) for _ in range(2))
    (alone,) = detect_fold(once, [store], ["mitos/03"], fold="1", seen=[], screenings=[0.05], say=lambda _: None)
    low, high = detect_fold(
        twice, [store], ["mitos/03"], fold="1", seen=[], screenings=[99.0, 0.05], say=lambda _: None
    )
    assert (low.screening, high.screening) == (0.05, 99.0)
    assert low.pictures == alone.pictures
    assert (high.pictures[0].passed, high.pictures[0].detections) == (0, [])
    assert (once.screened, once.detected, once.verified) == (twice.screened, twice.detected, twice.verified)


def test_a_planted_crop_of_a_held_out_case_stops_the_run_before_a_picture_is_scored(store: Dataset) -> None:
    detector = DotDetector()
    with pytest.raises(ValueError, match="its weights saw patients mitos/03"):
        detect_fold(detector, [store], ["mitos/03"], fold="1", seen=["midog/094", "mitos/03"])
    assert detector.screened == 0


def test_what_cannot_be_detected_says_why(store: Dataset) -> None:
    with pytest.raises(ValueError, match="no store has labelled pictures of patient mitos/18"):
        detect_fold(DotDetector(), [store], ["mitos/18"], fold="1", seen=[])
    calibration = ProbabilityCalibration(
        map=LogitAffine(slope=1, intercept=0), how_chosen="given", data="none", achieved="not measured"
    )
    card = DotDetector().detection_card.model_copy(update={"probability_calibration": calibration})
    with pytest.raises(ValueError, match="calibrated already"):
        detect_fold(replace(DotDetector(), detection_card=card), [store], ["mitos/03"], fold="1", seen=[])
    bare = store.pictures[0].model_copy(update={"mpp": None})
    with pytest.raises(ValueError, match="states no resolution"):
        detect_fold(DotDetector(), [store.model_copy(update={"pictures": (bare,)})], ["mitos/03"], fold="1", seen=[])


def test_a_run_states_whom_it_saw_also_by_what_it_started_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not state whom its weights saw"):
        patients_seen(tmp_path)
    (tmp_path / "split.json").write_text(
        json.dumps({"data": "x", "train": ["mitos2012/03"], "validation": ["b"], "test": ["c"]})
    )
    assert patients_seen(tmp_path) == {"mitos/03", "b"}
    (tmp_path / "run.json").write_text(json.dumps({"train": ["a"], "validation": [], "test": ["c"], "before": ["d"]}))
    assert patients_seen(tmp_path) == {"a", "d"}
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run\.json: train"):
        patients_seen(tmp_path)


def test_the_command_detects_what_cross_validate_takes(
    store: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_store(store, tmp_path / "store.json")
    models = write_quick_models(tmp_path / "models", "0.1.0")
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"train": ["mitos/00"], "validation": [], "test": []}))
    command = [
        "training", "detect-fold", str(models), "--version", "0.1.0", "--data", str(tmp_path / "store.json"),
        "--run-folder", str(run), "--out", str(tmp_path / "folds/03.json"),
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", [*command, "--patient", "mitos/03"])
    main()
    found = read_document(tmp_path / "folds/03.json", FoldDetections)
    assert (found.fold, found.seen, found.models) == ("mitos/03", ["mitos/00"], ["reg-ns 0.1.0", "det 0.1.0"])
    assert {name: by.split()[0] for name, by in found.made_by.items()} == {"reg-ns": "weights", "det": "weights"}
    assert found.screening == 0.9
    assert "Research Use Only" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*command, "--patient", "mitos/00"])
    with pytest.raises(SystemExit, match="its weights saw patients mitos/00"):
        main()
