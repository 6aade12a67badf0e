import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.core.errors import UnreadableSlideError
from serving.core.geometry import Region
from serving.core.options import ScoringOptions
from serving.scoring.batch_sizes import AHEAD
from serving.scoring.pipeline import score_slide
from serving.scoring.plan import SlidePlan, make_plan
from serving.scoring.reading import ReadClock, read_ahead
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, make_cards, tissue


class Watched(ArraySlide):
    """A slide of 3 x 3 tiles that counts its full-size reads and may fail at one of them."""

    def __init__(self, *, fails: Callable[[Region], bool] = lambda _: False) -> None:
        super().__init__(tissue(3000, 3000), mpp=0.25)
        self.reads = 0
        self._fails = fails
        self._lock = threading.Lock()

    def read(self, region: Region, width: int, height: int) -> NDArray[np.uint8]:
        with self._lock:
            self.reads += 1
        if self._fails(region):
            raise UnreadableSlideError(f"damaged at {region}")
        return super().read(region, width, height)


@pytest.fixture(autouse=True)
def _no_thread_stays_behind() -> Iterator[None]:
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("slide-reader")] == []


def _plan(slide: ArraySlide) -> SlidePlan:
    return make_plan(slide, ScoringOptions(), make_cards()[0].input)


def test_patches_come_in_order_with_their_pixels() -> None:
    slide = Watched()
    plan, clock = _plan(slide), ReadClock()
    with read_ahead(slide, plan.frame, plan.tiles, clock) as patches:
        found = [(tile.cell, pixels.shape) for tile, pixels in patches]
    assert [cell for cell, _ in found] == [tile.cell for tile in plan.tiles]
    assert [shape for _, shape in found] == [
        (tile.patch.region.height, tile.patch.region.width, 3) for tile in plan.tiles
    ]
    assert clock.read_s > 0


def test_a_slow_consumer_holds_a_bounded_number_of_patches() -> None:
    slide = Watched()
    plan = _plan(slide)
    with read_ahead(slide, plan.frame, plan.tiles, ReadClock()) as patches:
        for taken, _ in enumerate(patches, start=1):
            assert slide.reads <= taken + AHEAD
    assert slide.reads == 9


def test_a_consumer_that_stops_stops_the_readers() -> None:
    slide = Watched()
    plan = _plan(slide)
    with read_ahead(slide, plan.frame, plan.tiles, ReadClock()) as patches:
        next(patches)
    assert slide.reads <= 1 + AHEAD


@pytest.mark.parametrize("bad", [(0, 0), (1, 1), (2, 2)])
def test_a_read_that_fails_ends_the_analysis_with_its_error(bad: tuple[int, int]) -> None:
    centre = bad[0] * 1000 + 500, bad[1] * 1000 + 500

    def fails(region: Region) -> bool:
        return region.x <= centre[0] < region.right and region.y <= centre[1] < region.bottom

    with pytest.raises(UnreadableSlideError, match="damaged at"):
        score_slide(Watched(fails=fails), DotDetector())


def test_every_read_failing_is_one_error() -> None:
    with pytest.raises(UnreadableSlideError, match="damaged at"):
        score_slide(Watched(fails=lambda _: True), DotDetector())


class _StopError(Exception):
    pass


@pytest.mark.parametrize("at", [0, 1, 5])
def test_progress_that_raises_stops_the_analysis(at: int) -> None:
    slide = Watched()

    def stop(done: int, total: int) -> None:
        assert total == 9
        if done == at:
            raise _StopError

    with pytest.raises(_StopError):
        score_slide(slide, DotDetector(), on_progress=stop)
    assert slide.reads <= at + AHEAD


def test_a_model_that_fails_ends_the_analysis_with_its_error() -> None:
    class Broken(DotDetector):
        def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            raise RuntimeError("no memory on the device")

    with pytest.raises(RuntimeError, match="no memory"):
        score_slide(Watched(), Broken())


def test_progress_counts_every_tile() -> None:
    seen: list[tuple[int, int]] = []
    score_slide(Watched(), DotDetector(), on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 9) for done in range(10)]
