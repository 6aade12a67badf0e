"""A TIFF of strips and the same picture in tiles show the same pixels, wherever they are read."""

import tempfile
from pathlib import Path

import numpy as np
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from serving.core.geometry import Region
from serving.datasets.flat_tiff import FlatTiff
from serving.datasets.pictures import open_picture
from tests.examples import draw_examples

SIDES = st.integers(17, 300)


@draw_examples(25)
@given(
    st.tuples(SIDES, SIDES),
    st.integers(1, 64),
    st.sampled_from([None, "lzw", "deflate"]),
    st.tuples(st.integers(-40, 320), st.integers(-40, 320), st.integers(1, 200), st.integers(1, 200)),
    st.integers(0, 2**31),
)
def test_flat_equals_tiled(
    size: tuple[int, int], rows: int, compression: str | None, place: tuple[int, int, int, int], seed: int
) -> None:
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    region = Region(*place)
    with tempfile.TemporaryDirectory() as folder:
        flat, tiled = (Path(folder) / name for name in ("flat.tif", "tiled.tif"))
        # A strip may end far below the picture's last row; one strip alone is read whole.
        tifffile.imwrite(flat, pixels, photometric="rgb", compression=compression, rowsperstrip=rows)
        tifffile.imwrite(tiled, pixels, photometric="rgb", compression=compression, tile=(64, 64))
        with open_picture(flat) as one, open_picture(tiled) as other:
            assert isinstance(one, FlatTiff) == (rows < height)
            assert (one.width, one.height) == (other.width, other.height) == (width, height)
            of_strips, of_tiles = (slide.read(region, region.width, region.height) for slide in (one, other))
    assert np.array_equal(of_strips, of_tiles)
