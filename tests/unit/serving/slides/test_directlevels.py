"""JPEG tiles decoded directly: OpenSlide's pixels, OpenSlide's errors, and nothing that is not proven."""

import os
import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile

from serving.core.errors import UnreadableSlideError
from serving.core.geometry import Region
from serving.slides import directlevels
from serving.slides.formats import check_tiff
from serving.slides.openslides import OpenSlideSlide, open_with_openslide
from serving.slides.resample import Pixels
from serving.synthetic.slide import generate_slide
from tests.field_files import aperio_jpeg2000
from tests.samples import noise, write_pyramid

REAL = {
    "icpr2012-dev.tif": [0, 1],
    "cmu-1-small-region.svs": [0],
    "tcga-cr-7395-no-mpp.svs": [0],  # JPEG 2000
}
"""Real slides and the levels of theirs that are decoded directly."""


def opened(path: Path) -> OpenSlideSlide:
    return open_with_openslide(path, path.name, content=check_tiff(path, path.name))


def by_openslide(path: Path) -> OpenSlideSlide:
    return open_with_openslide(path, path.name, content=check_tiff(path, path.name), direct=False)


def reads(slide: OpenSlideSlide, count: int) -> Iterator[tuple[Region, int, int]]:
    """Regions anywhere on the slide and across its borders, at its resolution, finer and coarser."""
    chance = random.Random(1)
    for _ in range(count):
        region = Region(
            chance.randint(-200, slide.width), chance.randint(-200, slide.height), *chance.choices(range(1, 900), k=2)
        )
        scale = chance.choice([1, 1, 1, 0.25, 0.4, 2])
        yield region, max(round(region.width * scale), 1), max(round(region.height * scale), 1)


def assert_same_pixels(direct: OpenSlideSlide, plain: OpenSlideSlide, *, count: int = 40) -> None:
    assert not plain.direct_levels
    for region, width, height in reads(direct, count):
        np.testing.assert_array_equal(
            direct.read(region, width, height), plain.read(region, width, height), str(region)
        )
    np.testing.assert_array_equal(direct.thumbnail(300), plain.thumbnail(300))


@pytest.mark.parametrize("tile", [256, 512])
@pytest.mark.parametrize(
    "encoding",
    [
        {"compressionargs": {"level": 90}},
        {"compressionargs": {"level": 70}, "subsampling": (1, 1)},
        {"compressionargs": {"level": 90}, "subsampling": (2, 1)},
        {"compressionargs": {"level": 90, "outcolorspace": "rgb"}},
    ],
    ids=["4:2:0", "4:4:4", "4:2:2", "RGB"],
)
def test_pixels_are_those_of_openslide(tmp_path: Path, tile: int, encoding: dict[str, Any]) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(1720, 1032), compression="jpeg", levels=3, tile=tile, **encoding)
    with opened(path) as direct, by_openslide(path) as plain:
        assert direct.direct_levels == [0, 1, 2]
        assert_same_pixels(direct, plain)


def test_generated_slides_are_read_directly(tmp_path: Path) -> None:
    generate_slide(tmp_path / "a.tif", width=1280, height=768)
    with opened(tmp_path / "a.tif") as direct, by_openslide(tmp_path / "a.tif") as plain:
        assert direct.direct_levels == [0, 1]
        assert_same_pixels(direct, plain)


@pytest.mark.parametrize("name", REAL)
def test_pixels_of_real_slides_are_those_of_openslide(shared_data: Path, name: str) -> None:
    path = shared_data / "slides" / name
    with opened(path) as direct, by_openslide(path) as plain:
        assert direct.direct_levels == REAL[name]
        assert_same_pixels(direct, plain, count=12)


JPEG2000 = aperio_jpeg2000(33005)


@pytest.mark.parametrize("lossy", [False, True])
def test_pixels_of_jpeg_2000_are_those_of_openslide(tmp_path: Path, lossy: bool) -> None:
    how = {"level": 40, "mct": True} if lossy else {}
    path = aperio_jpeg2000(33005, **how)(tmp_path / "a.svs", noise(1030, 700))
    with opened(path) as direct, by_openslide(path) as plain:
        assert direct.direct_levels == [0]
        assert_same_pixels(direct, plain)


def test_other_compressions_and_uneven_levels_stay_with_openslide(tmp_path: Path) -> None:
    with opened(write_pyramid(tmp_path / "a.tif", noise(600, 600))) as slide:
        assert slide.direct_levels == []
    with opened(write_pyramid(tmp_path / "b.tif", noise(601, 600), compression="jpeg")) as slide:
        assert slide.direct_levels == [0]
    with opened(aperio_jpeg2000(33003)(tmp_path / "c.svs", noise(600, 600))) as slide:
        assert slide.direct_levels == []


def test_what_openslide_shows_otherwise_stays_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(600, 600), compression="jpeg")
    decode = simplejpeg.decode_jpeg

    def off_by_one(stream: bytes, **options: Any) -> Pixels:
        pixels: Pixels = decode(stream, **options)
        pixels[0, 0, 0] ^= 1
        return pixels

    monkeypatch.setattr(simplejpeg, "decode_jpeg", off_by_one)
    with opened(path) as direct, by_openslide(path) as plain:
        assert direct.direct_levels == []
        assert_same_pixels(direct, plain, count=5)


COLOUR_MARKERS = {
    "Adobe, RGB": b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00",
    "Adobe, YCbCr": b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01",
    "JFIF": b"\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00",
    "comment": b"\xff\xfe\x00\x06abcd",
}


@pytest.mark.parametrize("stated", ["YCbCr", "RGB"])
def test_what_single_tiles_say_of_their_colours_changes_nothing(tmp_path: Path, stated: str) -> None:
    """The tile is decoded as the directory says, as OpenSlide and libtiff do, whichever tiles have markers of their own."""
    colours = {"outcolorspace": "rgb"} if stated == "RGB" else {}
    plain_path = write_pyramid(
        tmp_path / "plain.tif",
        noise(1024, 1024),
        compression="jpeg",
        levels=1,
        compressionargs={"level": 90, **colours},
    )
    with tifffile.TiffFile(plain_path) as tiff:
        page = tiff.pages.first
        data, tables = plain_path.read_bytes(), page.jpegtables
        tiles = [data[o : o + n] for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
        photometric = page.photometric
    chance, markers = random.Random(stated), list(COLOUR_MARKERS.values())
    for turn in range(4):
        marked = [
            tile[:2] + b"".join(chance.sample(markers, chance.randint(1, 2))) + tile[2:]
            if chance.random() < 0.5
            else tile
            for tile in tiles
        ]
        if turn:  # those that were looked at when a level was proven by three of its tiles
            for at in (0, len(tiles) // 2, -1):
                marked[at] = tiles[at]
        path = tmp_path / f"{turn}.tif"
        with tifffile.TiffWriter(path) as tiff:
            tiff.write(
                iter(marked), shape=(1024, 1024, 3), dtype=np.uint8, tile=(256, 256), photometric=photometric,
                compression="jpeg", jpegtables=tables, compressionargs=colours,
                subsampling=(1, 1) if stated == "RGB" else (2, 2), metadata=None,
            )  # fmt: skip
        with opened(path) as direct, by_openslide(path) as plain, opened(plain_path) as whole:
            assert direct.direct_levels == [0]
            assert_same_pixels(direct, plain, count=6)
            np.testing.assert_array_equal(direct.thumbnail(1024), whole.thumbnail(1024))


@pytest.mark.parametrize("components", [1, 4])
def test_tiles_of_another_number_of_components_are_not_decoded_directly(tmp_path: Path, components: int) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(1000, 1000), compression="jpeg", levels=1)
    other = imagecodecs.jpeg8_encode(np.full((256, 256, components), 128, np.uint8).squeeze())
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        start, size = tiff.pages.first.dataoffsets[6], tiff.pages.first.databytecounts[6]
    assert len(other) <= size
    data[start : start + size] = other + bytes(size - len(other))
    path.write_bytes(data)
    part = Region(512, 256, 256, 256)
    found = [find_outcome(opener, path, part) for opener in (opened, by_openslide)]
    assert isinstance(found[0], UnreadableSlideError) == isinstance(found[1], UnreadableSlideError)
    if not isinstance(found[0], UnreadableSlideError):
        np.testing.assert_array_equal(found[0], found[1])


def jpeg(path: Path, pixels: Pixels) -> Path:
    return write_pyramid(path, pixels, compression="jpeg", levels=1)


@pytest.mark.parametrize(("write", "turns"), [(jpeg, 60), (JPEG2000, 60)], ids=["JPEG", "JPEG 2000"])
def test_damaged_tiles_end_as_with_openslide(tmp_path: Path, write: Callable[[Path, Pixels], Path], turns: int) -> None:
    whole = write(tmp_path / "whole.tif", noise(700, 700)).read_bytes()
    chance, outcomes = random.Random(3), set[str]()
    # Of JPEG 2000 the start of each stream: damage behind it is no error. What it says of its size has a test of its own.
    streams = [found.start() for found in re.finditer(re.escape(b"\xff\x4f\xff\x51"), whole)]
    places = [start + byte for start in streams for byte in range(51, 250)] or range(1000, len(whole))
    for _ in range(turns):
        data = bytearray(whole)
        for place in chance.sample(places, chance.randint(1, 4)):
            data[place] ^= chance.randint(1, 255)
        (tmp_path / "a.tif").write_bytes(data)
        direct, plain = outcome(opened, tmp_path / "a.tif"), outcome(by_openslide, tmp_path / "a.tif")
        if isinstance(direct, Exception):
            assert isinstance(plain, UnreadableSlideError)
            assert str(direct) == str(plain)
        else:
            np.testing.assert_array_equal(direct, plain)
        outcomes.add(type(direct).__name__)
    assert outcomes == {"UnreadableSlideError", "ndarray"}


def outcome(opener: Callable[[Path], OpenSlideSlide], path: Path) -> Pixels | UnreadableSlideError:
    return find_outcome(opener, path, None)


def find_outcome(
    opener: Callable[[Path], OpenSlideSlide], path: Path, part: Region | None
) -> Pixels | UnreadableSlideError:
    try:
        with opener(path) as slide:
            part = part or Region(0, 0, slide.width, slide.height)
            return slide.read(part, part.width, part.height)
    except UnreadableSlideError as error:
        return error


SIZE_AT = {
    "end across": 8,
    "end down": 12,
    "begin across": 16,
    "begin down": 20,
    "step across": 43 + 3,
    "step down": 44 + 3,
}
"""Byte of a codestream where its SIZ segment says so, of the second component where it says so of each (ITU-T T.800, A.5.1)."""


def test_a_codestream_that_begins_with_something_else_is_damage(tmp_path: Path) -> None:
    """OpenJPEG passes over a marker that it does not know, so the size would stand where nobody looks for it."""
    path = aperio_jpeg2000(33003)(tmp_path / "a.svs", noise(1000, 700))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.dataoffsets[5]
    data[start + 2 : start + 6] = b"\xff\x30\xff\x51"
    path.write_bytes(data)
    with opened(path) as slide, pytest.raises(UnreadableSlideError, match="copy it again"):
        slide.read(Region(0, 0, 1000, 700), 1000, 700)


@pytest.mark.parametrize("compression", [33003, 33005])
@pytest.mark.parametrize("where", SIZE_AT)
@pytest.mark.parametrize("tile", [0, 5])
def test_a_codestream_of_another_size_is_damage(tmp_path: Path, compression: int, where: str, tile: int) -> None:
    """OpenSlide compares where the picture ends, and would show what lies behind in its memory where it begins later."""
    path = aperio_jpeg2000(compression)(tmp_path / "a.svs", noise(1000, 700))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.dataoffsets[tile]
    data[start + SIZE_AT[where] + (0 if where.startswith("step") else 3)] ^= 0x02
    path.write_bytes(data)
    if tile == 0:
        with pytest.raises(UnreadableSlideError, match="copy it again"):
            opened(path)
        return
    with opened(path) as slide, pytest.raises(UnreadableSlideError, match="copy it again"):
        slide.read(Region(0, 0, 1000, 700), 1000, 700)


def test_a_damaged_tile_ends_no_other_read(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(1000, 1000), compression="jpeg", levels=1)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        start, size = page.dataoffsets[6], page.databytecounts[6]  # neither the first, the middle nor the last
    data[start + size // 2 : start + size] = bytes(size - size // 2)
    path.write_bytes(data)
    with opened(path) as slide:
        before = slide.read(Region(0, 0, 200, 200), 200, 200)
        for _ in range(2):
            with pytest.raises(UnreadableSlideError, match="copy it again"):
                slide.read(Region(0, 0, 1000, 1000), 1000, 1000)
        np.testing.assert_array_equal(slide.read(Region(0, 0, 200, 200), 200, 200), before)


@pytest.mark.parametrize("size", [(8, 8), (4000, 4000)])
def test_a_tile_of_another_size_than_the_directory_states(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(1000, 1000), compression="jpeg", levels=1)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        start = data.index(b"\xff\xc0", tiff.pages.first.dataoffsets[6])
    data[start + 5 : start + 9] = size[0].to_bytes(2, "big") + size[1].to_bytes(2, "big")
    path.write_bytes(data)
    with opened(path) as slide, pytest.raises(UnreadableSlideError, match="copy it again"):
        slide.read(Region(0, 0, 1000, 1000), 1000, 1000)


def test_absent_tiles_are_white(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(1000, 1000), compression="jpeg", levels=1)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        counts = tiff.pages.first.tags["TileByteCounts"]
        counts.overwrite([0 if tile == 6 else count for tile, count in enumerate(counts.value)])
    with opened(path) as slide:
        assert slide.direct_levels == [0]
        assert (slide.read(Region(512, 256, 256, 256), 256, 256) == 255).all()
        assert slide.read(Region(256, 256, 256, 256), 256, 256).mean() < 250


def test_threads_share_a_slide_and_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 5 * 256 * 256 * 3
    monkeypatch.setattr(directlevels, "CACHE_BYTES", most)
    path = write_pyramid(tmp_path / "a.tif", noise(2000, 1500), compression="jpeg")
    with opened(path) as slide, opened(path) as other:
        regions = [Region(x, y, 600, 600) for y in range(0, 1200, 300) for x in range(0, 1500, 250)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda r: slide.read(r, r.width, r.height), regions))
        for region, pixels in zip(regions, found, strict=True):
            np.testing.assert_array_equal(pixels, other.read(region, region.width, region.height))
        assert slide._tiles is not None
        kept = slide._tiles._kept
        assert sum(tile.nbytes for tile in kept._tiles.values()) == kept.bytes <= most


def test_a_patch_reads_each_tile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(2048, 1024), compression="jpeg", levels=1)
    asked: list[int] = []
    pread = os.pread

    def counted(file: int, size: int, offset: int) -> bytes:
        asked.append(offset)
        return pread(file, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    with opened(path) as slide:
        asked.clear()
        slide.read(Region(600, 100, 600, 600), 600, 600)
        first = len(asked)
        assert first == len(set(asked)) == 3 * 3
        slide.read(Region(1100, 100, 600, 600), 600, 600)
        assert len(asked) == len(set(asked)) == first + 2 * 3
