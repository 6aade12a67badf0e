"""MetaImage pictures are read as they were written, or refused with the reason."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from serving.core.errors import MitoserveError, SlideTooLargeError, UnreadableSlideError, UnsupportedFormatError
from serving.slides.imageslide import PictureMemoryError
from serving.slides.metaimage import open_metaimage
from serving.slides.opening import open_slide
from tests.examples import draw_examples
from tests.metaimages import write_metaimage

PIXELS = np.random.default_rng(5).integers(0, 256, (37, 53, 3), np.uint8)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("size", ["53 37", "53 37 1"])
def test_a_picture_is_what_was_written(compressed: bool, size: str, tmp_path: Path) -> None:
    path = write_metaimage(tmp_path / "a.mha", PIXELS, mpp=0.23, compressed=compressed, changed={"DimSize": size})
    with open_slide(path) as slide:
        assert (slide.width, slide.height, slide.vendor) == (53, 37, "metaimage")
        assert slide.mpp == pytest.approx(0.23)
        assert np.array_equal(slide.thumbnail(53), PIXELS)
        assert slide.properties["Offset"] == "0 0"


def test_one_millimetre_a_pixel_means_that_nothing_was_known(tmp_path: Path) -> None:
    with open_slide(write_metaimage(tmp_path / "a.mha", PIXELS, mpp=1000.0)) as slide:
        assert slide.mpp is None


@pytest.mark.parametrize(
    ("changed", "error", "why"),
    [
        ({"ElementNumberOfChannels": "1"}, UnsupportedFormatError, "holds 1 channels of MET_UCHAR"),
        ({"ElementType": "MET_SHORT"}, UnsupportedFormatError, "3 channels of MET_SHORT"),
        ({"ElementDataFile": "pixels.zraw"}, UnsupportedFormatError, "in another file"),
        ({"TransformMatrix": "0 1 -1 0"}, UnsupportedFormatError, "is turned"),
        ({"DimSize": "53 37 4"}, UnsupportedFormatError, "stack of 4 pictures"),
        ({"DimSize": ""}, UnreadableSlideError, "no width and height"),
        ({"DimSize": "0 37"}, UnreadableSlideError, "no width and height"),
        ({"DimSize": "wide high"}, UnreadableSlideError, "no row of numbers"),
        ({"DimSize": "inf 37"}, UnreadableSlideError, "no row of numbers"),
        ({"ElementSpacing": "nan nan"}, UnreadableSlideError, "no row of numbers"),
        ({"DimSize": "53 38"}, UnreadableSlideError, "is cut off"),
        ({"DimSize": "60000 60000"}, SlideTooLargeError, "tiled TIFF"),
    ],
)
def test_what_is_no_such_picture_is_refused(
    changed: dict[str, str], error: type[MitoserveError], why: str, tmp_path: Path
) -> None:
    path = write_metaimage(tmp_path / "a.mha", PIXELS, mpp=0.25, changed=changed)
    with pytest.raises(error, match=why):
        open_slide(path)


def test_a_picture_that_needs_too_much_memory_is_not_decoded(tmp_path: Path) -> None:
    path = write_metaimage(tmp_path / "a.mha", PIXELS, mpp=0.25)
    with pytest.raises(PictureMemoryError):
        open_metaimage(path, "a.mha", memory=2**20)


@draw_examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4000), st.binary(max_size=4), st.booleans())
def test_damage_is_named(tmp_path: Path, at: int, put: bytes, compressed: bool) -> None:
    path = write_metaimage(tmp_path / "a.mha", PIXELS, mpp=0.25, compressed=compressed)
    content = path.read_bytes()
    place = at % len(content)
    path.write_bytes(content[:place] + put)
    with contextlib.suppress(MitoserveError), open_slide(path) as slide:
        assert slide.width * slide.height > 0
