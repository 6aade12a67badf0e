"""Directories of TIFFs are walked within bounds, whatever their layout."""

import struct
from pathlib import Path

import pytest
import tifffile
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from serving.core.errors import MitoserveError, UnreadableSlideError
from serving.slides import directories
from serving.slides.directories import (
    MAX_ALL_ENTRIES,
    MAX_DIRECTORIES,
    MAX_ENTRIES,
    MAX_TEXT_BYTES,
    check_directories,
)
from serving.slides.opening import open_slide
from tests.examples import draw_examples
from tests.samples import noise, write_dicom
from tests.tiffs import ASCII, LONG, LONG8, SHORT, TagEntry, Writer

LAYOUTS = [pytest.param(order, big, id=f"{order}{'big' if big else ''}") for order in "<>" for big in (False, True)]
WIDTH = TagEntry(256, SHORT, 1, b"\x10\x00")


def write(path: Path, writer: Writer) -> Path:
    path.write_bytes(writer.made)
    return path


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_what_a_writer_writes_passes(tmp_path: Path, byteorder: str, *, bigtiff: bool) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=bigtiff, byteorder=byteorder) as tiff:
        for _ in range(20):
            tiff.write(noise(64, 64), tile=(16, 16), photometric="rgb", description="words " * 1000, subifds=2)
            for _sub in range(2):
                tiff.write(noise(32, 32), tile=(16, 16), photometric="rgb")
    check_directories(tmp_path / "a.tif", "a.tif")


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_circle_is_refused(tmp_path: Path, order: str, *, big: bool, length: int) -> None:
    writer = Writer(order, big)
    first = len(writer.made)
    for number in range(length):
        writer.directory([WIDTH], first if number == length - 1 else None)
    with pytest.raises(UnreadableSlideError, match="go in a circle"):
        open_slide(write(tmp_path / "a.tif", writer))


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_a_circle_through_sub_directories_is_refused(tmp_path: Path, order: str, *, big: bool) -> None:
    writer = Writer(order, big)
    kind = LONG8 if big else LONG
    first = len(writer.made)
    sub = first + writer.size_of(1)
    writer.directory([TagEntry(330, kind, 1, writer.number(kind, sub))], 0)
    writer.directory([TagEntry(330, kind, 1, writer.number(kind, first))], 0)
    with pytest.raises(UnreadableSlideError, match="go in a circle"):
        open_slide(write(tmp_path / "a.tif", writer))


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_directories_in_one_another_without_end_are_refused(tmp_path: Path, order: str, *, big: bool) -> None:
    writer, kind = Writer(order, big), LONG8 if big else LONG
    for _ in range(20):
        below = len(writer.made) + writer.size_of(1)
        writer.directory([TagEntry(330, kind, 1, writer.number(kind, below))], 0)
    with pytest.raises(UnreadableSlideError, match="too deep"):
        open_slide(write(tmp_path / "a.tif", writer))


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_too_many_directories_are_refused_and_as_many_as_may_be_are_not(
    tmp_path: Path, order: str, *, big: bool
) -> None:
    for count in (MAX_DIRECTORIES, MAX_DIRECTORIES + 1, 60_000):
        writer = Writer(order, big)
        for number in range(count):
            writer.directory([WIDTH], 0 if number == count - 1 else None)
        path = write(tmp_path / "a.tif", writer)
        if count == MAX_DIRECTORIES:
            check_directories(path, "a.tif")
        else:
            with pytest.raises(UnreadableSlideError, match="more than 4096 pictures"):
                open_slide(path)


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_too_many_sub_directories_of_one_are_refused(tmp_path: Path, order: str, *, big: bool) -> None:
    writer = Writer(order, big)
    addresses = writer.number(LONG, *range(8, 8 + 4 * 5000, 4))
    writer.directory([TagEntry(330, LONG, 5000, addresses)], 0)
    with pytest.raises(UnreadableSlideError, match="more than 4096 pictures"):
        open_slide(write(tmp_path / "a.tif", writer))


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_too_long_a_text_is_refused(tmp_path: Path, order: str, *, big: bool) -> None:
    for tag, kind in ((270, ASCII), (700, 1), (65449, 7), (40_000, ASCII)):
        writer = Writer(order, big)
        writer.directory([TagEntry(tag, kind, MAX_TEXT_BYTES + 1, at=100)], 0)
        path = write(tmp_path / "a.tif", writer)
        with path.open("r+b") as file:
            file.truncate(2 * MAX_TEXT_BYTES)
        with pytest.raises(UnreadableSlideError, match="a text of it"):
            open_slide(path)


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_a_directory_of_too_many_entries_is_refused(tmp_path: Path, order: str, *, big: bool) -> None:
    writer = Writer(order, big)
    writer.directory([TagEntry(tag, SHORT, 1) for tag in range(MAX_ENTRIES + 1)], 0)
    with pytest.raises(UnreadableSlideError, match="4097 entries"):
        open_slide(write(tmp_path / "a.tif", writer))


@pytest.mark.parametrize("big", [False, True])
def test_too_many_entries_of_all_directories_together_are_refused(tmp_path: Path, *, big: bool) -> None:
    writer, entries = Writer("<", big), [TagEntry(tag, SHORT, 1) for tag in range(MAX_ENTRIES)]
    for number in range(MAX_ALL_ENTRIES // MAX_ENTRIES + 1):
        writer.directory(entries, 0 if number == MAX_ALL_ENTRIES // MAX_ENTRIES else None)
    with pytest.raises(UnreadableSlideError, match="entries together"):
        open_slide(write(tmp_path / "a.tif", writer))


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_the_same_bytes_named_by_many_directories_are_refused(tmp_path: Path, order: str, *, big: bool) -> None:
    writer, count = Writer(order, big), 2**22
    for number in range(900):
        writer.directory([TagEntry(324, LONG, count // 4, at=100)], 0 if number == 899 else None)
    writer.made.extend(bytes(count))
    with pytest.raises(UnreadableSlideError, match="again and again"):
        open_slide(write(tmp_path / "a.tif", writer))


def test_a_dicom_file_that_is_a_tiff_too_is_walked(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", noise(300, 300))
    with path.open("r+b") as file:
        file.write(b"II*\0" + struct.pack("<IHI", 8, 0, 8))  # in the preamble: a directory that leads to itself
    with pytest.raises(UnreadableSlideError, match="circle"):
        open_slide(path)


@draw_examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=st.tuples(st.sampled_from("<>"), st.booleans()),
    shape=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([256, 257, 270, 322, 324, 330, 330, 700]),
                st.integers(0, 20),
                st.sampled_from([0, 1, 2, 7, 100, 2**16, 2**23 + 1, 2**31, 2**32 - 1]),
                st.integers(0, 600),
            ),
            max_size=4,
        ),
        min_size=1,
        max_size=8,
    ),
    following=st.lists(st.integers(0, 700), min_size=8, max_size=8),
    cut=st.integers(0, 900),
)
def test_whatever_the_directories_say_the_walk_ends_and_so_does_what_follows(
    tmp_path: Path,
    layout: tuple[str, bool],
    shape: list[list[tuple[int, int, int, int]]],
    following: list[int],
    cut: int,
) -> None:
    """Every read is counted: no directory is read twice, and what passes opens or is refused by name."""
    writer = Writer(*layout)
    for entries, next_ in zip(shape, following, strict=False):
        writer.directory([TagEntry(tag, kind, count, at=at) for tag, kind, count, at in entries], next_)
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(writer.made[: max(cut, 8)]))
    looked = []
    walk = directories._DirectoryWalker._look

    def counted(self: directories._DirectoryWalker, offset: int) -> tuple[int, list[int]]:
        looked.append(offset)
        return walk(self, offset)

    directories._DirectoryWalker._look = counted  # type: ignore[method-assign]
    try:
        check_directories(path, "a.tif")
        passed = True
    except UnreadableSlideError:
        passed = False
    finally:
        directories._DirectoryWalker._look = walk  # type: ignore[method-assign]
    assert len(looked) == len(set(looked)) <= MAX_DIRECTORIES
    if passed:
        with pytest.raises(MitoserveError):
            open_slide(path)
