from xml.etree import ElementTree

import numpy as np
import openslide
from hypothesis import given
from hypothesis import strategies as st
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from serving.api.deepzoom import NAMESPACE, TILE_PX, DeepZoom

sides = st.integers(1, 3000)


@given(sides, sides)
def test_levels_and_tiles_are_those_of_openslides_generator(width: int, height: int) -> None:
    picture = Image.new("1", (width, height))
    reference = DeepZoomGenerator(openslide.ImageSlide(picture), tile_size=TILE_PX, overlap=0)
    pyramid = DeepZoom(width, height)
    assert pyramid.levels == reference.level_count
    for level, (size, (columns, rows)) in enumerate(
        zip(reference.level_dimensions, reference.level_tiles, strict=True)
    ):
        assert pyramid.size(level) == size
        last = pyramid.tile(level, columns - 1, rows - 1)
        assert last is not None
        assert (last.width, last.height) == reference.get_tile_dimensions(level, (columns - 1, rows - 1))
        assert pyramid.tile(level, columns, 0) is None
        assert pyramid.tile(level, 0, rows) is None


@given(st.integers(1, 250_000), st.integers(1, 250_000), st.data())
def test_the_tiles_of_a_level_cover_the_slide_once(width: int, height: int, data: st.DataObject) -> None:
    pyramid = DeepZoom(width, height)
    level = data.draw(st.integers(0, pyramid.levels - 1))
    across, _ = pyramid.size(level)
    seen = 0
    for column in range(-(-across // TILE_PX)):
        place = pyramid.tile(level, column, 0)
        assert place is not None
        assert place.region.x == seen
        seen = place.region.right
    assert seen == width


def test_a_level_or_tile_outside_is_none() -> None:
    pyramid = DeepZoom(1000, 800)
    assert pyramid.tile(11, 0, 0) is None
    assert pyramid.tile(-1, 0, 0) is None
    assert pyramid.tile(10, -1, 0) is None
    assert (pyramid.shrink(10), pyramid.size(0)) == (1, (1, 1))


def test_the_descriptor_states_size_and_tiles() -> None:
    image = ElementTree.fromstring(DeepZoom(1000, 800).descriptor())
    assert image.tag == f"{{{NAMESPACE}}}Image"
    assert image.attrib == {"TileSize": str(TILE_PX), "Overlap": "0", "Format": "jpeg"}
    assert image[0].attrib == {"Width": "1000", "Height": "800"}


def test_the_smallest_picture_has_one_level() -> None:
    assert DeepZoom(1, 1).levels == 1
    assert np.prod(DeepZoom(1, 1).size(0)) == 1
