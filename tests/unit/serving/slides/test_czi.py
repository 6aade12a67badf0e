"""CZI, and OME-TIFF in strips: the pixels, or an error where they do not decode."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serving.core.errors import DecoderError, MitoserveError, UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import open_isolated
from serving.slides.opening import open_slide
from tests.czi import JPEG_XR, LZW, RAW, write_czi
from tests.formats import write
from tests.mutants import Specimen, mutate, read_entries
from tests.samples import noise

ZEISS = Path(__file__).parents[3] / "data" / "zeiss.czi"
"""Four tiles at negative coordinates, zstd, as pylibCZIrw 6.1.0, Zeiss's own writer, stores `noise(96, 64)`."""


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(DecoderLimits(opening_cpu_s=20, read_cpu_s=20))
    yield made
    made.close()


def test_a_file_of_zeisss_own_writer() -> None:
    with open_slide(ZEISS) as slide:
        assert (slide.width, slide.height, slide.vendor) == (96, 64, "zeiss")
        assert slide.pixel_size == pytest.approx((0.25, 0.25))
        assert np.array_equal(slide.read(Region(0, 0, 96, 64), 96, 64), noise(96, 64))


@pytest.mark.parametrize("compression", [RAW, JPEG_XR])
def test_tiles_and_levels_show_the_picture(tmp_path: Path, compression: int) -> None:
    pixels = noise(700, 500)
    with open_slide(write_czi(tmp_path / "a.czi", pixels, compression=compression, levels=3)) as slide:
        assert slide.level_dimensions == ((700, 500), (350, 250), (175, 125))
        assert np.array_equal(slide.read(Region(130, 90, 301, 277), 301, 277), pixels[90:367, 130:431])
        half = slide.read(Region(0, 0, 700, 500), 350, 250)
        assert np.abs(half.astype(int) - pixels[::2, ::2]).mean() < 1
        over = slide.read(Region(-20, -10, 100, 100), 100, 100)
    assert (over[:10] == 255).all()
    assert (over[:, :20] == 255).all()
    assert np.array_equal(over[10:, 20:], pixels[:90, :80])


def test_of_several_scenes_the_reader_of_results_is_told(tmp_path: Path) -> None:
    with open_slide(write_czi(tmp_path / "a.czi", noise(300, 200), scenes=2)) as slide:
        assert (slide.width, slide.height) == (300, 200)
        assert "2 scenes" in slide.notes[0]


def test_a_file_that_states_no_resolution_has_none(tmp_path: Path) -> None:
    with open_slide(write_czi(tmp_path / "a.czi", noise(300, 200), mpp=None)) as slide:
        assert slide.pixel_size is None


def test_what_is_not_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match="compression"):
        open_slide(write_czi(tmp_path / "a.czi", noise(300, 200), compression=LZW))


def test_it_is_told_by_its_content(tmp_path: Path) -> None:
    with open_slide(write_czi(tmp_path / "a.bin", noise(300, 200))) as slide:
        assert slide.vendor == "zeiss"


@pytest.mark.parametrize("compression", [RAW, JPEG_XR])
def test_a_damaged_tile_is_an_error_and_no_white_glass(tmp_path: Path, compression: int) -> None:
    path = write_czi(tmp_path / "a.czi", noise(700, 500), compression=compression)
    data = bytearray(path.read_bytes())
    at = [found.start() for found in re.finditer(b"ZISRAWSUBBLOCK", data)][3]
    data[at + 288 : at + 2400] = bytes(2112)
    if compression == RAW:
        data[at + 40 : at + 48] = (1000).to_bytes(8, "little")  # bytes of the pixels
    path.write_bytes(data)
    with open_slide(path) as slide, pytest.raises(UnreadableSlideError, match="level 0, x 0, y 256"):
        slide.read(Region(0, 0, 700, 500), 700, 500)


def test_where_tiles_overlap_the_later_one_is_seen(tmp_path: Path) -> None:
    pixels = noise(300, 200)
    with open_slide(write_czi(tmp_path / "a.czi", pixels, side=128, overlap=32)) as slide:
        assert (slide.width, slide.height) == (300, 200)
        assert np.array_equal(slide.read(Region(0, 0, 300, 200), 300, 200), pixels)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    whole = write_czi(tmp_path / "a.czi", noise(300, 200)).read_bytes()
    (tmp_path / "a.czi").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableSlideError, match=r"truncated|damaged"):
        open_slide(tmp_path / "a.czi")


def test_strips_of_ome_tiff_show_their_pixels_at_the_size_of_the_xml(tmp_path: Path) -> None:
    pixels = noise(700, 500)
    path = write(tmp_path, "OME-TIFF in strips", pixels)
    with open_slide(path) as slide:
        assert slide.vendor == "ome-tiff"
        assert slide.pixel_size == pytest.approx((0.25, 0.25))
        assert np.array_equal(slide.read(Region(130, 90, 301, 277), 301, 277), pixels[90:367, 130:431])


def test_a_decoder_reads_it_behind_its_bounds(decoders: Decoders, tmp_path: Path) -> None:
    pixels = noise(700, 500)
    for path in (
        write_czi(tmp_path / "a.czi", pixels, compression=JPEG_XR),
        write(tmp_path, "OME-TIFF in strips", pixels),
    ):
        with open_isolated(decoders, path, name="a") as slide:
            assert np.array_equal(slide.read(Region(130, 90, 301, 277), 301, 277), pixels[90:367, 130:431])


@pytest.mark.parametrize("name", ["CZI, uncompressed", "CZI, JPEG XR, pyramid", "OME-TIFF in strips"])
def test_whatever_is_damaged_ends_a_decoder_at_most(decoders: Decoders, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, noise(300, 200))
    chance, specimen = random.Random(name), Specimen(path.name, path.read_bytes(), read_entries(path), name)
    refused = 0
    for _ in range(30):
        path.write_bytes(mutate(specimen, chance)[1])
        try:
            with open_isolated(decoders, path, name="a") as slide:
                slide.thumbnail(64)
        except MitoserveError as error:
            refused += not isinstance(error, DecoderError)
    assert refused > 0  # most damage of pixels shows other pixels
