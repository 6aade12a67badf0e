import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.iiif import MAX_SIDE_PX, parse_iiif
from serving.core.errors import RequestError
from serving.core.geometry import Region
from serving.slides.arrayslide import ArraySlide
from tests.samples import noise

SIZE = (1000, 800)


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("full", Region(0, 0, 1000, 800)),
        ("square", Region(100, 0, 800, 800)),
        ("10,20,30,40", Region(10, 20, 30, 40)),
        ("900,700,500,500", Region(900, 700, 100, 100)),
        ("pct:50,50,50,25", Region(500, 400, 500, 200)),
    ],
)
def test_regions(region: str, expected: Region) -> None:
    assert parse_iiif(SIZE, region, "max", "0", "default.jpg").region == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("max", (1000, 800)),
        ("500,", (500, 400)),
        (",200", (250, 200)),
        ("100,100", (100, 100)),
        ("!100,100", (100, 80)),
        ("!2000,2000", (1000, 800)),
        ("pct:10", (100, 80)),
        ("^2000,", (2000, 1600)),
        ("^!2000,2000", (2000, 1600)),
        ("^max", (MAX_SIDE_PX, MAX_SIDE_PX * 800 // 1000)),
    ],
)
def test_sizes(size: str, expected: tuple[int, int]) -> None:
    wanted = parse_iiif(SIZE, "full", size, "0", "default.jpg")
    assert (wanted.width, wanted.height) == expected


@pytest.mark.parametrize(
    ("region", "size", "rotation", "leaf"),
    [
        ("0,0,0,5", "max", "0", "default.jpg"),
        ("1000,0,5,5", "max", "0", "default.jpg"),
        ("1.5,0,5,5", "max", "0", "default.jpg"),
        ("a", "max", "0", "default.jpg"),
        ("full", "1001,", "0", "default.jpg"),
        ("full", "0,", "0", "default.jpg"),
        ("full", ",", "0", "default.jpg"),
        ("full", "!5,", "0", "default.jpg"),
        ("full", "^9999,", "0", "default.jpg"),
        ("full", "pct:0", "0", "default.jpg"),
        ("full", "max", "45", "default.jpg"),
        ("full", "max", "!!0", "default.jpg"),
        ("full", "max", "0", "bitonic.jpg"),
        ("full", "max", "0", "default.tif"),
        ("full", "max", "0", "default"),
    ],
)
def test_what_cannot_be_given_is_refused(region: str, size: str, rotation: str, leaf: str) -> None:
    with pytest.raises(RequestError):
        parse_iiif(SIZE, region, size, rotation, leaf)


@given(st.sampled_from([0, 90, 180, 270]), st.booleans(), st.booleans())
def test_pixels_are_mirrored_then_turned_clockwise(degrees: int, mirrored: bool, gray: bool) -> None:
    pixels = noise(60, 40)
    rotation, leaf = f"{'!' if mirrored else ''}{degrees}", f"{'gray' if gray else 'color'}.png"
    wanted = parse_iiif((60, 40), "full", "max", rotation, leaf)
    found = wanted.read(ArraySlide(pixels, mpp=0.25))
    expected = pixels[:, ::-1] if mirrored else pixels
    for _ in range(degrees // 90):
        expected = expected[::-1].transpose(1, 0, 2)  # a quarter turn clockwise
    if gray:
        expected = (expected @ np.asarray((0.299, 0.587, 0.114))).round()
    np.testing.assert_allclose(found, expected, atol=1)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_address_is_understood_or_refused(region: str, size: str, rotation: str, leaf: str) -> None:
    try:
        wanted = parse_iiif(SIZE, region, size, rotation, leaf)
    except RequestError:
        return
    assert 0 < wanted.width <= MAX_SIDE_PX
