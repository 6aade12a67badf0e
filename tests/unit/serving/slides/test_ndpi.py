"""NDPI slides, written as NanoZoomer scanners write them, below and beyond 4 GiB."""

import contextlib
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import openslide
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from serving.core.errors import MitoserveError, UnreadableSlideError
from serving.core.geometry import Region
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import open_isolated
from serving.slides.directories import MAX_DIRECTORIES, MAX_TEXT_BYTES, check_directories, is_large_ndpi
from serving.slides.opening import open_slide
from tests.examples import draw_examples
from tests.ndpi import MCU_STARTS, MCU_STARTS_HIGH, PROPERTIES, NdpiWriter, read_level, write_ndpi
from tests.samples import noise, write_dicom, write_pyramid

FAR = 2**32 + 4000
PIXELS = noise(1024, 768)
WIDTH = {256: (4, 1, b"\x10\0\0\0"), 65420: (4, 1, b"\1\0\0\0")}
"""The least that is an NDPI's directory."""


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(DecoderLimits())
    yield made
    made.close()


@pytest.mark.parametrize("at", [0, FAR, 2**34 + 4000], ids=["small", "over 4 GiB", "over 16 GiB"])
@pytest.mark.parametrize("tiled", [True, False], ids=["restart markers", "whole JPEG"])
@pytest.mark.parametrize("name", ["a.ndpi", "A.NDPI", "a.tif", "slide"])
def test_an_ndpi_opens_whatever_its_size_and_name(
    tmp_path: Path, decoders: Decoders, name: str, at: int, *, tiled: bool
) -> None:
    path = write_ndpi(tmp_path / name, PIXELS, tiled=tiled, at=at)
    assert openslide.OpenSlide.detect_format(str(path)) == "hamamatsu"
    with openslide.OpenSlide(str(path)) as known:
        assert list(known.associated_images) == ["macro"]
        expected = np.asarray(known.read_region((300, 200), 0, (400, 300)).convert("RGB"))
    check_directories(path, name)
    with open_isolated(decoders, path, name=name) as slide:
        assert (slide.width, slide.height, slide.vendor, slide.mpp) == (1024, 768, "hamamatsu", 0.25)
        assert slide.notes == ()
        assert np.array_equal(slide.read(Region(300, 200, 400, 300), 400, 300), expected)
        assert np.abs(expected.astype(int) - PIXELS[200:500, 300:700]).mean() < 2


def test_a_small_ndpi_without_high_halves_opens(tmp_path: Path) -> None:
    with open_slide(write_ndpi(tmp_path / "a.ndpi", PIXELS, high_bits=False)) as slide:
        assert slide.vendor == "hamamatsu"


def test_focal_planes_beside_the_middle_one_are_no_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.ndpi"
    with path.open("wb") as file:
        writer = NdpiWriter(file)
        for plane in (0, -2000, 2000):
            values, strip = read_level(PIXELS, 40.0, tiled=True)
            writer.directory({**values, 65424: (9, 1, struct.pack("<i", plane))}, strip)
    with open_slide(path) as slide:
        assert (slide.width, slide.height) == (1024, 768)


@pytest.mark.parametrize("name", ["a.ndpi", "a.tif"])
def test_a_plain_tiff_called_an_ndpi_opens(tmp_path: Path, name: str) -> None:
    with open_slide(write_pyramid(tmp_path / name, PIXELS)) as slide:
        assert slide.vendor == "generic-tiff"


@pytest.mark.parametrize("at", [0, FAR], ids=["small", "over 4 GiB"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_ndpi_is_refused(tmp_path: Path, at: int, part: float) -> None:
    path = write_ndpi(tmp_path / "a.ndpi", PIXELS, at=at)
    with path.open("r+b") as file:
        file.truncate(at + int((path.stat().st_size - at) * part))
    with pytest.raises(UnreadableSlideError, match="truncated"):
        open_slide(path)


def test_a_large_ndpi_of_which_little_arrived_is_refused_as_truncated(tmp_path: Path) -> None:
    path = write_ndpi(tmp_path / "a.ndpi", PIXELS, at=FAR)
    with path.open("r+b") as file:
        file.truncate(2**31)
    with pytest.raises(UnreadableSlideError, match="truncated: its first directory lies at byte 4"):
        open_slide(path)


def written(path: Path, at: int, write: Callable[[NdpiWriter], object]) -> Path:
    with path.open("wb") as file:
        file.truncate(at)
        write(NdpiWriter(file))
    return path


@pytest.mark.parametrize("at", [0, FAR], ids=["small", "over 4 GiB"])
@pytest.mark.parametrize("length", [1, 3])
def test_a_circle_is_refused(tmp_path: Path, at: int, length: int) -> None:
    def write(writer: NdpiWriter) -> None:
        first, *_ = [writer.directory(WIDTH, b"strip") for _ in range(length)]
        writer.lead_to(first)

    with pytest.raises(UnreadableSlideError, match="go in a circle"):
        open_slide(written(tmp_path / "a.ndpi", at, write))


@pytest.mark.parametrize("at", [0, FAR], ids=["small", "over 4 GiB"])
def test_too_many_directories_are_refused(tmp_path: Path, at: int) -> None:
    def write(writer: NdpiWriter) -> None:
        for _ in range(MAX_DIRECTORIES + 1):
            writer.directory(WIDTH, b"strip")

    with pytest.raises(UnreadableSlideError, match="more than 4096 pictures"):
        open_slide(written(tmp_path / "a.ndpi", at, write))


@pytest.mark.parametrize("at", [0, FAR], ids=["small", "over 4 GiB"])
def test_too_long_a_list_of_properties_is_refused(tmp_path: Path, at: int) -> None:
    path = written(
        tmp_path / "a.ndpi", at, lambda w: w.directory({**WIDTH, PROPERTIES: (2, MAX_TEXT_BYTES + 1, b"=")}, b"strip")
    )
    with path.open("r+b") as file:
        file.truncate(at + 2 * MAX_TEXT_BYTES)
    with pytest.raises(UnreadableSlideError, match="a text of it"):
        open_slide(path)


def test_sub_directories_of_a_large_ndpi_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ndpi", FAR, lambda w: w.directory({**WIDTH, 330: (4, 1, bytes(4))}, b"strip"))
    with pytest.raises(UnreadableSlideError, match="sub-directories"):
        open_slide(path)


def test_a_large_ndpi_in_big_endian_order_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ndpi"
    with path.open("wb") as file:
        file.write(b"MM" + struct.pack(">HQ", 42, FAR))
        file.seek(FAR)
        file.write(struct.pack(">HHHIIQ", 1, 65420, 4, 1, 1, 0))
    with pytest.raises(UnreadableSlideError, match="big-endian"):
        open_slide(path)


def test_a_large_tiff_without_the_tag_is_none(tmp_path: Path) -> None:
    """Its first address has 32 bits, whatever follows it."""
    path = write_pyramid(tmp_path / "a.ndpi", PIXELS)
    with path.open("r+b") as file:
        file.truncate(FAR)
    assert not is_large_ndpi(path)
    with open_slide(path) as slide:
        assert slide.vendor == "generic-tiff"


def test_a_dicom_file_called_an_ndpi_that_is_a_tiff_too_is_walked(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.ndpi", noise(300, 300))
    with path.open("r+b") as file:
        file.write(b"II*\0" + struct.pack("<IHI", 8, 0, 8))  # in the preamble: a directory that leads to itself
    with pytest.raises(UnreadableSlideError, match="circle"):
        open_slide(path)


@draw_examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.sampled_from([0, FAR]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0, 1, 127, 128, 255])), min_size=1, max_size=6),
)
def test_a_damaged_directory_opens_or_is_refused(
    tmp_path: Path, decoders: Decoders, at: int, flips: list[tuple[float, int]]
) -> None:
    """Bytes of the header, of the first directory and of its high halves, which lie behind the first strip."""
    path = write_ndpi(tmp_path / "a.ndpi", noise(128, 64), levels=2, at=at)
    with path.open("r+b") as file:
        first = struct.unpack("<Q", file.read(12)[4:])[0]
        places = [*range(4, 12), *range(first, first + 400)]
        for where, value in flips:
            file.seek(places[min(int(where * len(places)), len(places) - 1)])
            file.write(bytes([value]))
    with contextlib.suppress(MitoserveError), open_isolated(decoders, path, name="a.ndpi") as slide:
        assert slide.read(Region(0, 0, 64, 64), 64, 64).shape == (64, 64, 3)


def test_a_level_taller_than_a_jpeg_can_say_opens(tmp_path: Path, decoders: Decoders) -> None:
    """72,000 px: the scan of one JPEG goes on with that of another, restart markers counted on."""
    half = np.ascontiguousarray(np.tile(noise(64, 720), (50, 1, 1)))
    values, strip = read_level(half, 40.0, tiled=True)
    start = struct.unpack("<I", values[MCU_STARTS][2][:4])[0]
    parts = re.split(rb"\xff[\xd0-\xd7]", strip[start:-2]) * 2
    joined, starts = bytearray(strip[:start]), []
    for number, part in enumerate(parts):
        starts.append(len(joined))
        joined += part + bytes([0xFF, 0xD0 + number % 8])
    joined[-2:] = b"\xff\xd9"
    values |= {tag: (4, 1, struct.pack("<I", 2 * len(half))) for tag in (257, 278)}
    values |= {MCU_STARTS: (4, len(starts), struct.pack(f"<{len(starts)}I", *starts))}
    values |= {MCU_STARTS_HIGH: (4, len(starts), bytes(4 * len(starts)))}
    path = written(tmp_path / "a.ndpi", 0, lambda writer: writer.directory(values, bytes(joined)))
    with open_isolated(decoders, path, name="a.ndpi") as slide:
        assert (slide.width, slide.height, slide.vendor) == (64, 72_000, "hamamatsu")
        shown = slide.read(Region(0, 72_000 - 720, 64, 720), 64, 720)
    assert np.abs(shown.astype(int) - half[:720]).mean() < 3
