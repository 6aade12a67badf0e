"""What counts of a picture: one-to-one matches, where somebody looked, and the hotspots of both."""

import pytest

from serving.datasets.store import Annotation, Picture
from serving.evaluation.benchmark import compare_groups, summarise_groups
from serving.evaluation.measured_picture import measure_picture
from serving.evaluation.picture_results import PictureResult, Point


def picture(name: str, *places: tuple[float, float], side: int = 4000, **more: object) -> Picture:
    boxes = [(x - 20, y - 20, x + 20, y + 20) for x, y in places]
    return Picture.model_validate(
        {
            "id": name,
            "path": f"{name}.png",
            "width": side,
            "height": side,
            "slide": name,
            "patient": name,
            "annotations": [Annotation(box=box, label="mitotic figure", agreement=1) for box in boxes],
            "attributes": {"tumour": "one"},
            **more,
        }
    )


def found(*counted: Point, below: tuple[Point, ...] = ()) -> PictureResult:
    return PictureResult(key="", mpp=0.25, counted=counted, below=below, seconds=2.0, tissue_mm2=0.5)


def test_figures_match_one_to_one_and_those_below_rank_alone() -> None:
    judged = measure_picture(
        picture("a", (1000, 1000), (2000, 2000)),
        found((1010, 1000, 0.9), (1015, 1000, 0.8), below=((2000, 2010, 0.3),)),
    )
    assert (judged.rates.true_positives, judged.rates.false_positives, judged.rates.false_negatives) == (1, 1, 1)
    assert judged.hits.sum() == 2
    every, *_ = summarise_groups("A", [judged])
    assert every.f1.value == pytest.approx(0.5)
    assert every.average_precision.value == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert (every.f1.low, every.seconds_per_mm2) == (None, 4.0)


def test_where_nobody_looked_nothing_is_false() -> None:
    unlabelled = picture("a", (1000, 1000), unlabelled_areas=[(1500, 0, 4000, 4000)])
    judged = measure_picture(unlabelled, found((1000, 1000, 0.9), (3000, 3000, 0.9)))
    assert (judged.rates.false_positives, judged.counted, judged.true) == (0, 1, 1)


def test_hotspots_are_compared_where_there_is_room() -> None:
    places = [(500.0, 500.0), (600.0, 500.0), (3000.0, 3000.0)]
    one = picture("a", *places)
    same = measure_picture(one, found(*((x, y, 0.9) for x, y in places)), hotspot_mm2=0.1)
    assert same.hotspot_overlap == pytest.approx(1.0)
    assert (same.hotspot_true, same.hotspot_most) == (2, 2)
    other = measure_picture(one, found((3000, 3000, 0.9), (3050, 3300, 0.9)), hotspot_mm2=0.1)
    assert (other.hotspot_overlap, other.hotspot_true, other.hotspot_most) == (0.0, 1, 2)
    assert measure_picture(one, found((3000, 3000, 0.9)), hotspot_mm2=2.0).hotspot_overlap is None


def test_two_entries_differ_by_what_both_have() -> None:
    pictures = [picture(name, (1000, 1000)) for name in "abc"]
    good = [measure_picture(p, found((1000, 1000, 0.9))) for p in pictures]
    bad = [measure_picture(p, found((3000, 1000, 0.9))) for p in pictures[:2]]
    whole, tumour = compare_groups(("good", good), ("bad", bad))[:2]
    assert (whole.by, whole.pictures, whole.f1.value, whole.f1.high) == ("all", 2, -1.0, -1.0)
    assert (tumour.by, tumour.group) == ("tumour", "one")
