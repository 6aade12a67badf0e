"""Weights of an ensemble that are chosen on labelled pictures, and what is said of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.cli.ensemble import describe, group_versions, make_card
from serving.core.detections import Detections
from serving.core.errors import RequestError
from serving.datasets.store import Annotation, Picture
from serving.evaluation.fusion_choice import (
    METHODS,
    FusablePicture,
    choose_fusion,
    find_with_each,
    judge_fusion,
    list_weights,
)
from serving.registry.version import VersionId
from serving.scoring.detector import SingleDetector
from serving.scoring.fusion import find_places
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, DotsAlone, plant, tissue
from tests.miniatures.cards import make_boxes_card, make_points_card, write_miniature

SIDE, MPP = 2000, 0.25


def _picture(case: str, places: Sequence[tuple[float, float]], side: int = SIDE) -> Picture:
    boxes = tuple(
        Annotation(box=(x - 12, y - 12, x + 12, y + 12), label="mitotic figure", agreement=1.0) for x, y in places
    )
    return Picture(
        id=case, path=f"{case}.png", width=side, height=side, mpp=MPP, slide=case, patient=case, annotations=boxes
    )


def _see(places: NDArray[np.float64], probabilities: NDArray[np.float64]) -> Detections:
    boxes = np.concatenate([places - 12, places + 12], 1).astype(np.float32)
    return Detections(boxes, probabilities.astype(np.float32), np.zeros(len(boxes), np.float32))


def _case(name: str, seed: int) -> FusablePicture:
    """40 places, half of them figures, of which two detectors are as unsure, each by itself."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(8), np.arange(5)), -1).reshape(-1, 2).astype(np.float64) * 220 + 100
    true = rng.permutation(40) < 20
    found = {
        detector: _see(
            grid, np.asarray(np.clip(np.where(true, 0.62, 0.38) + rng.normal(0, 0.2, 40), 0.02, 0.98), np.float64)
        )
        for detector in ("points", "boxes")
    }
    places = find_places(found, 30)
    picture = _picture(name, [(float(x), float(y)) for x, y in grid[true]])
    looked = np.ones((len(places.boxes), 2), np.bool_)
    return FusablePicture(picture, MPP, found, places, looked, {"points": 1.0, "boxes": 2.0}, 0.25)


def test_two_that_err_apart_are_better_together_and_say_so_of_cases_left_out() -> None:
    pictures = [_case(name, seed) for seed, name in enumerate("abcd")]
    points, boxes, both = judge_fusion(pictures, "flat-f1", METHODS)
    assert [entry.name for entry in (points, boxes, both)] == ["points", "boxes", "ensemble"]
    for alone in (points, boxes):
        assert both.average_precision.value > alone.average_precision.value
        assert alone.precision_gain is not None
        assert alone.precision_gain.value == pytest.approx(both.average_precision.value - alone.average_precision.value)
        assert alone.precision_gain.low <= alone.precision_gain.value <= alone.precision_gain.high
    assert both.f1.low < both.f1.value < both.f1.high
    assert both.f1_gain is None
    chosen = choose_fusion(pictures, "flat-f1", METHODS)
    assert sum(chosen.weights) == pytest.approx(1)
    assert min(chosen.weights) > 0.2
    assert all(0 < floor < 1 for floor in chosen.floors)
    assert judge_fusion(pictures[:1], "flat-f1", METHODS) == []


def test_weights_begin_with_the_most_even() -> None:
    assert list_weights(2)[0] == (0.5, 0.5)
    assert len(list_weights(2)) == 9
    assert list_weights(3)[0] == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert all(sum(weights) == pytest.approx(1) and min(weights) > 0 for weights in list_weights(3))


def test_each_detector_sees_a_picture_by_itself() -> None:
    pixels, places = tissue(900, 900), [(100.0, 100.0), (450.0, 480.0), (800.0, 300.0)]
    for x, y in places:
        plant(pixels, x, y)
    picture = _picture("a", places, 900)
    detectors: dict[str, SingleDetector] = {"cascade": DotDetector(), "boxes": DotsAlone()}
    found = find_with_each(picture, ArraySlide(pixels, mpp=MPP), detectors, 7.5)
    assert [len(one) for one in found.found.values()] == [3, 3]
    assert np.isfinite(found.places.by_detector).all()
    assert found.looked.all()
    assert found.tissue_mm2 == pytest.approx((900 * MPP / 1000) ** 2, rel=0.1)
    assert set(found.seconds) == {"cascade", "boxes"}


def test_the_card_states_what_was_measured_and_what_it_was_made_of(tmp_path: Path) -> None:
    folders = {card.name: write_miniature(tmp_path, card) for card in (make_boxes_card(), make_points_card())}
    versions = [VersionId.from_card((folder / "card.json").read_bytes())[0] for folder in folders.values()]
    groups = group_versions(versions)
    assert list(groups) == ["points", "boxes"]
    pictures = [_case(name, seed) for seed, name in enumerate("ab")]
    judged = judge_fusion(pictures, "flat-f1", ["mean"])
    chosen = choose_fusion(pictures, "flat-f1", ["mean"])
    card = make_card("1.0.0", groups, folders, chosen, judged, pictures=pictures, data="dots", rule="flat-f1")
    assert card.fusion is not None
    assert [model.label for model in card.fusion.models] == ["points@0.0.1", "boxes@0.0.1"]
    assert describe(judged[-1]) in card.fusion.achieved
    assert "12 s a mm2 of tissue, the sum of points 4, boxes 8" in card.fusion.speed
    assert card.detection_threshold is not None
    assert card.detection_threshold.probability == chosen.threshold
    assert {"points_f1", "boxes_ap", "ensemble_f1", "f1_gain_over_points", "ap_gain_over_boxes"} <= set(card.figures)
    with pytest.raises(RequestError, match="points is one detector"):
        group_versions(versions[1:])
