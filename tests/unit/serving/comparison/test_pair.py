"""Two cascades on one slide of planted dots: what both have, what one sees less sure, what one does not see."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.comparison.page import comparison_page
from serving.comparison.pair import Pair, compare, hotspot_iou
from serving.comparison.summary import summarise
from serving.core.counts import Hotspot
from serving.core.detections import Detections
from serving.core.options import CountingOptions, ScoringOptions
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.fakes import DotDetector, make_cards, plant, tissue
from tests.samples import write_picture

BOTH, SURE_BY_FIRST, BY_FIRST, BY_SECOND = (300, 300), (700, 300), (300, 620), (700, 620)


@dataclass(slots=True)
class Blind(DotDetector):
    """Does not see dots whose side is `blind` px."""

    blind: int = 0

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        found = super(Blind, self).detect(sub_tiles)
        sides = (d.boxes[:, 2] - d.boxes[:, 0] for d in found)
        return [d[side != self.blind] for d, side in zip(found, sides, strict=True)]


def score(path: Path, detector: DotDetector) -> Analysis:
    options = ScoringOptions(mpp=0.25, threshold=0.25, counting=CountingOptions(hotspot_area=0.1, profile="none"))
    with open_slide(path) as slide:
        return score_slide(slide, detector, options)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    pixels = tissue(1000, 800)
    for place, side in ((BOTH, 24), (SURE_BY_FIRST, 20), (BY_FIRST, 23), (BY_SECOND, 22)):
        plant(pixels, *place, side=side)
    path = write_picture(tmp_path_factory.mktemp("slide") / "a.png", pixels)
    det = make_cards(detection=0.8)[1].model_copy(update={"version": "0.0.2"})
    first = score(path, Blind(blind=22))
    second = score(path, Blind(detection_card=det, blind=23))
    return compare(first, second, thresholds=(0.5, 0.8))


def test_places_are_matched_and_sorted_by_what_became_of_them(pair: Pair) -> None:
    assert (pair.first.mitotic_figures, pair.second.mitotic_figures, pair.matched) == (3, 2, 1)
    found = {(round(d.x + d.width / 2), round(d.y + d.height / 2)): d for d in pair.disagreements}
    kinds = {place: d.kind for place, d in found.items()}
    assert kinds == {SURE_BY_FIRST: "fell below", BY_FIRST: "only first", BY_SECOND: "only second"}
    fell, missed = found[SURE_BY_FIRST], found[BY_FIRST]
    assert fell.first == fell.second == pytest.approx(20**2 / 24**2, abs=1e-4)
    assert missed.second is None
    assert missed.second_score == pytest.approx(23**2 / 24**2, abs=1e-4), "screened, and passed"
    assert [d.first or d.second for d in pair.disagreements] == sorted(
        [d.first or d.second for d in pair.disagreements], key=lambda p: -(p or 0)
    )


def test_the_sum_of_slides(pair: Pair) -> None:
    other = pair.model_copy(update={"first": pair.first.model_copy(update={"models": ["reg-ns@9", "det@9"]})})
    found = summarise([other, pair, pair])
    assert (found.slides, found.left_out) == (2, 1)
    assert (found.first, found.second) == (["reg-ns@0.0.1", "det@0.0.1"], ["reg-ns@0.0.1", "det@0.0.2"])
    assert (found.places.both, found.places.only_first, found.places.only_second) == (2, 4, 2)
    assert found.places.agreement == pytest.approx(2 * 2 / 10)
    assert found.places.kinds == {"fell below": 2, "only first": 2, "only second": 2}
    assert (found.figures.mean_difference, found.figures.low, found.figures.high) == (-1, -1, -1)
    assert (found.scores.population_stability, found.scores.largest_gap) == (0, 0)
    nothing = summarise([])
    assert (nothing.slides, nothing.places.agreement, nothing.categories) == (0, None, [])


def test_the_page_says_it_and_runs_nothing(pair: Pair) -> None:
    named = pair.model_copy(update={"name": "<b>a</b>.svs"})
    page = comparison_page(summarise([named]), [named], thumbnail=lambda *_: b"jpeg", gallery="/g#shadow=1").decode()
    assert page.count("data:image/jpeg;base64") == 3
    assert "For Research Use Only" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "nothing yet" in comparison_page(summarise([]), []).decode()


def test_overlap_of_windows() -> None:
    def window(x: float) -> Hotspot:
        return Hotspot(
            x=x,
            y=0,
            width=100,
            height=50,
            area_mm2=2,
            mitotic_figures=1,
            per_mm2=0.5,
            tissue_fraction=1,
            expected_figures=1,
        )

    assert hotspot_iou(window(0), window(0)) == 1
    assert hotspot_iou(window(0), window(50)) == pytest.approx(1 / 3)
    assert hotspot_iou(window(0), window(100)) == 0


def test_categories_agree_by_kappa(pair: Pair) -> None:
    def rated(first: int, second: int) -> Pair:
        sides = {
            name: getattr(pair, name).model_copy(update={"category": category})
            for name, category in (("first", first), ("second", second))
        }
        return pair.model_copy(update={**sides, "profile": "breast-nottingham"})

    (found,) = summarise([rated(0, 0), rated(1, 1), rated(2, 2), rated(0, 2)]).categories
    assert found.labels == ["score 1", "score 2", "score 3"]
    assert found.table == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert found.kappa == pytest.approx(1 - 16 / 26, abs=1e-4)
