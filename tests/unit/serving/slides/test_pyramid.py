"""Which stored sizes are the slide, and whose resolution is that of level 0."""

import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from serving.core.errors import UnreadableSlideError
from serving.core.geometry import Region
from serving.slides.opening import open_slide
from serving.slides.pyramid import BAND_PX, PyramidSlide, find_trusted_levels, have_same_shape
from serving.slides.resample import Pixels
from tests.field_files import scale_pixels
from tests.limits import LONGEST_S
from tests.samples import noise

sides = st.integers(600, 200_000)


@given(sides, sides, st.floats(1.5, 40), st.sampled_from([np.floor, np.ceil, np.rint]))
def test_a_level_that_is_rounded_either_way_has_the_slides_shape(
    width: int, height: int, shrink: float, rounded: Any
) -> None:
    assert have_same_shape((width, height), (int(rounded(width / shrink)), int(rounded(height / shrink))))


@given(sides, sides, st.floats(1.5, 10), st.floats(1.1, 4))
def test_a_picture_of_another_shape_is_no_level(width: int, height: int, shrink: float, longer: float) -> None:
    level = round(width / shrink), round(height / shrink / longer)
    assert have_same_shape((width, height), level) is False


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([(1000, 800)], [0]),
        ([(1000, 800), (500, 400), (250, 200)], [0, 1, 2]),
        ([(1000, 800), (512, 300), (250, 200)], [0, 2]),
        ([(1000, 800), (1000, 800), (500, 400)], [0, 2]),
        ([(1000, 800), (250, 200), (500, 400)], [0, 1]),
    ],
)
def test_levels_grow_smaller_and_keep_their_shape(sizes: list[tuple[int, int]], kept: list[int]) -> None:
    assert find_trusted_levels(sizes) == kept


def write_pages(path: Path, pages: list[tuple[Pixels, float, int]], **options: Any) -> Path:
    """A TIFF of tiled pages; each with its mpp and its NewSubfileType."""
    with tifffile.TiffWriter(path, **options) as tiff:
        for pixels, mpp, kind in pages:
            per_cm = 10_000 / mpp
            tiff.write(
                pixels, tile=(256, 256), photometric="rgb", compression="deflate", subfiletype=kind, metadata=None,
                resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_macro_picture_is_no_level(tmp_path: Path, byteorder: str) -> None:
    slide_px, macro = noise(1600, 1600), np.full((300, 512, 3), (10, 200, 30), np.uint8)
    path = write_pages(tmp_path / "a.tif", [(slide_px, 0.25, 0), (macro, 5.0, 1)], byteorder=byteorder)
    with open_slide(path) as slide:
        thumbnail = slide.thumbnail(256)
        assert "512 x 300" in slide.notes[0]
    assert np.abs(thumbnail.astype(int) - scale_pixels(slide_px, (0.16, 0.16))).mean() < 3


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("kind", [0, 1])
def test_resolution_is_that_of_the_largest_page_wherever_it_stands(tmp_path: Path, byteorder: str, kind: int) -> None:
    whole = noise(1024, 768)
    halves = [(scale_pixels(whole, (2**-n, 2**-n)), 0.25 * 2**n, kind if n else 0) for n in (2, 1, 0)]
    with open_slide(write_pages(tmp_path / "a.tif", halves, byteorder=byteorder)) as slide:
        assert (slide.width, slide.height) == (1024, 768)
        assert slide.mpp == pytest.approx(0.25, rel=1e-3)
        assert np.abs(slide.thumbnail(256).astype(int) - scale_pixels(whole, (0.25, 0.25))).mean() < 3


class CountedSlide(PyramidSlide):
    """Of one level. It counts the bands that are decoded at once; a band waits `wait_s` until `together` of them are."""

    def __init__(
        self, width: int, height: int, *, together: int = 1, wait_s: float = LONGEST_S, broken_from: float = np.inf
    ) -> None:
        self.width, self.height = width, height
        self.level_sizes, self.levels = [(width, height)], [0]
        self.decoded: list[int] = []
        self.at_once = self.most = 0
        self._broken_from, self._wait_s = broken_from, wait_s
        self._lock, self._together = threading.Lock(), threading.Barrier(together)

    def _decode(self, level: int, cut: Region) -> Pixels:
        with self._lock:
            self.decoded.append(cut.y)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        with contextlib.suppress(threading.BrokenBarrierError):
            self._together.wait(self._wait_s)
        with self._lock:
            self.at_once -= 1
        if cut.y >= self._broken_from:
            raise UnreadableSlideError(f"broken at {cut.y}")
        return np.full((cut.height, cut.width, 3), cut.y // BAND_PX, np.uint8)

    def close(self) -> None:
        """Nothing is open."""


def test_bands_of_a_small_picture_are_decoded_two_at_once() -> None:
    slide = CountedSlide(4 * BAND_PX, 6 * BAND_PX, together=2)
    shown = slide.thumbnail(60)
    assert (slide.most, len(slide.decoded)) == (2, 6)
    assert (np.diff(shown[:, 0, 0].astype(int)) >= 0).all(), "each lies in its own place"


def test_large_bands_are_decoded_one_by_one() -> None:
    slide = CountedSlide(40_000, 2 * BAND_PX, together=2, wait_s=0.2)
    slide.thumbnail(1000)
    assert (slide.most, len(slide.decoded)) == (1, 2)


def test_a_band_that_is_broken_ends_the_picture() -> None:
    slide = CountedSlide(BAND_PX, 5 * BAND_PX, broken_from=3 * BAND_PX - 8)
    with pytest.raises(UnreadableSlideError, match="broken at 1532"):
        slide.thumbnail(50)
