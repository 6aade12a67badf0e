"""Fusion neither loses nor doubles a place, says who found it, and does not depend on the order of the detectors."""

from itertools import combinations, permutations
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.core.detections import Detections
from serving.core.fusion import FusedModel
from serving.scoring.fusion import SURE, FoundPlaces, find_places, fuse, pool
from tests.ensembles import make_rule

DISTANCE = 30.0
NAMES = ("cascade", "points", "boxes")
Method = Literal["mean", "logit"]
METHODS: st.SearchStrategy[Method] = st.sampled_from(["mean", "logit"])


def _detections(rows: list[tuple[float, float, float, float]]) -> Detections:
    """Of rows x, y, half the side, probability."""
    found = np.asarray(rows, np.float32).reshape(-1, 4)
    boxes = np.concatenate([found[:, :2] - found[:, 2:3], found[:, :2] + found[:, 2:3]], 1)
    return Detections(boxes, found[:, 3], np.zeros(len(found), np.float32))


ROWS = st.lists(
    st.tuples(
        # Coarse places, so that many are near each other or the same.
        st.integers(0, 20).map(lambda n: n * 9.0),
        st.integers(0, 20).map(lambda n: n * 9.0),
        st.sampled_from([4.0, 10.0]),
        st.integers(1, 99).map(lambda n: n / 100),
    ),
    max_size=12,
)
FOUND = st.lists(ROWS.map(_detections), min_size=3, max_size=3)


def _fuse(found: list[Detections], names: tuple[str, ...], weights: dict[str, float], method: Method) -> Detections:
    places = find_places(dict(zip(names, found, strict=True)), DISTANCE)
    models = {name: [FusedModel(name="det", version="1", card="0" * 64)] for name in names}
    rule = make_rule(models, weights=[weights[name] for name in names], method=method, floor=0.03)
    looked = {name: np.ones(len(places.boxes), np.bool_) for name in names}
    return fuse(dict(zip(names, found, strict=True)), looked, places, rule)


@given(FOUND, METHODS)
def test_the_order_of_the_detectors_changes_nothing(found: list[Detections], method: Method) -> None:
    weights = dict(zip(NAMES, (0.5, 1.0, 2.0), strict=True))
    by_name = dict(zip(NAMES, found, strict=True))
    one = _fuse(found, NAMES, weights, method)
    for order in permutations(NAMES):
        other = _fuse([by_name[name] for name in order], order, weights, method)
        assert np.allclose(one.boxes, other.boxes, atol=1e-3)
        assert np.allclose(one.probabilities, other.probabilities, atol=1e-6)
        assert one.by_detector is not None
        assert other.by_detector is not None
        columns = [order.index(name) for name in NAMES]
        assert np.array_equal(one.by_detector, other.by_detector[:, columns], equal_nan=True)


@given(ROWS.map(_detections), METHODS, st.floats(0.1, 5))
def test_one_detector_alone_is_itself(found: Detections, method: Method, weight: float) -> None:
    ranked = found[np.lexsort((*found.boxes.T, -found.probabilities))]
    fused = _fuse([found], ("points",), {"points": weight}, method)
    assert np.array_equal(fused.boxes, ranked.boxes)
    # What it found counts as its floor at the least.
    assert np.array_equal(fused.probabilities, np.fmax(ranked.probabilities, np.float32(0.03)))


def _list_sources(places: FoundPlaces, detector: int) -> list[int]:
    return sorted(places.source[:, detector][places.source[:, detector] >= 0].tolist())


@given(FOUND)
def test_every_detection_is_in_one_place_and_says_who_found_it(found: list[Detections]) -> None:
    places = find_places(dict(zip(NAMES, found, strict=True)), DISTANCE)
    for number, own in enumerate(found):
        assert _list_sources(places, number) == list(range(len(own)))
        heard = places.source[:, number] >= 0
        assert np.array_equal(np.isfinite(places.by_detector[:, number]), heard)
        assert np.array_equal(places.by_detector[heard, number], own.probabilities[places.source[heard, number]])
    assert np.isfinite(places.by_detector).any(1).all()


@given(FOUND)
def test_no_two_places_within_the_distance_but_what_one_detector_tells_apart(found: list[Detections]) -> None:
    places = find_places(dict(zip(NAMES, found, strict=True)), DISTANCE)
    heard = np.isfinite(places.by_detector)
    for a, b in combinations(range(len(heard)), 2):
        if not (heard[a] & heard[b]).any():
            assert np.hypot(*(places.centres[a].astype(float) - places.centres[b])) > DISTANCE - 1e-3


@given(FOUND)
def test_a_place_lies_among_what_was_found_there(found: list[Detections]) -> None:
    places = find_places(dict(zip(NAMES, found, strict=True)), DISTANCE)
    for box, source in zip(places.boxes, places.source, strict=True):
        parts = np.stack([own.boxes[n] for own, n in zip(found, source, strict=True) if n >= 0])
        assert (box >= parts.min(0) - 1e-3).all()
        assert (box <= parts.max(0) + 1e-3).all()


@given(
    st.lists(st.lists(st.none() | st.floats(0.01, 0.99), min_size=3, max_size=3).filter(any), min_size=1, max_size=5),
    st.lists(st.tuples(st.floats(0.1, 5), st.floats(0.005, 0.3)), min_size=3, max_size=3),
    METHODS,
    st.integers(0, 2),
    st.floats(0.0, 0.5),
)
def test_a_detector_that_is_surer_never_makes_a_place_less_likely(
    said: list[list[float | None]], worth: list[tuple[float, float]], method: Method, which: int, more: float
) -> None:
    weights, floors = [w for w, _ in worth], [f for _, f in worth]
    given_ = np.asarray([[np.nan if v is None else v for v in row] for row in said], np.float32)
    looked = np.ones(given_.shape, np.bool_)
    surer = given_.copy()
    # Also of one that found nothing, and now does.
    surer[:, which] = np.fmin(np.where(np.isnan(surer[:, which]), 0.0, surer[:, which]) + more, 1.0)
    before, after = (pool(values, looked, weights=weights, floors=floors, method=method) for values in (given_, surer))
    assert (after >= before - 1e-6).all()
    least, most = np.fmax(np.nan_to_num(given_), floors).min(1), np.fmax(np.nan_to_num(given_), floors).max(1)
    assert (before >= np.minimum(least, 1 - SURE) - 1e-5).all()
    assert (before <= np.maximum(most, SURE) + 1e-5).all()
