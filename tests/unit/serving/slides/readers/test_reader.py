"""A reader that somebody registers is asked wherever files are told apart; no other module knows of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from serving.api.receiving import check_name
from serving.cohort.listing import manifest_at
from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.datasets.pictures import PictureFolder
from serving.slides.arrayslide import ArraySlide
from serving.slides.companions import find_companion_folder
from serving.slides.hashing import slide_sha256
from serving.slides.opening import open_slide
from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.slidefiles import find_slide, slide_files
from tests.fakes import tissue

HEAD = b"SQUARE"


class SquareReader(SlideReader):
    """One file: a head, and the pixels of a square of 64 px."""

    suffixes: ClassVar[tuple[str, ...]] = (".square",)
    heads = (HEAD,)

    def open(self, path: Path, name: str, memory: int | None = None) -> ArraySlide:
        """See `SlideReader.open`."""
        pixels = np.frombuffer(path.read_bytes()[len(HEAD) :], np.uint8)
        if pixels.size != 64 * 64 * 3:
            raise UnreadableSlideError(f"{name} is truncated")
        return ArraySlide(pixels.reshape(64, 64, 3), mpp=0.25, name=name, vendor="square")


class SquareWithFolderReader(SquareReader):
    """The same, with a folder beside it."""

    whole = False
    folder_beside = True


class FirstReader(SquareReader):
    """It takes all that begins so, whatever it is called, before all others."""

    suffixes = ()
    heads = (b"\x89PNG",)
    rank = 0


@pytest.fixture
def square() -> Iterator[None]:
    SLIDE_READERS.add("square", SquareReader)
    yield
    SLIDE_READERS.remove("square")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A slide of its kind in a folder with a label beside it."""
    (tmp_path / "slides").mkdir()
    Image.fromarray(tissue(30, 20)).save(tmp_path / "slides" / "label.png")
    path = tmp_path / "slides" / "a.square"
    path.write_bytes(HEAD + tissue(64, 64).tobytes())
    return path


def test_its_slides_are_opened_and_listed(square: None, path: Path) -> None:
    with open_slide(path) as slide:
        assert (slide.vendor, slide.width, slide.mpp) == ("square", 64, 0.25)
    with open_slide(path.parent) as slide:
        assert slide.vendor == "square"
    assert slide_files(path).names == ("a.square",)
    assert find_slide(path.parent, "it").main_path == path
    assert [entry.source for entry in manifest_at(str(path.parent)).entries] == [str(path)]
    assert find_companion_folder(path) is None
    assert len(slide_sha256(path)) == 64
    check_name("a.square")
    assert path in PictureFolder(path.parent).all()


def test_messages_name_its_format_among_those_that_are_readable(square: None, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(UnsupportedFormatError, match=r": DICOM WSI, MRXS, SVS, .* SQUARE are readable$") as refused:
        open_slide(tmp_path / "a.txt")
    named = str(refused.value)
    for reader in SLIDE_READERS.values():
        assert all(name in named for name in reader.formats or [suffix[1:].upper() for suffix in reader.suffixes])
    SLIDE_READERS.remove("square")
    try:
        assert "SQUARE" not in SLIDE_READERS.describe_formats()
    finally:
        SLIDE_READERS.add("square", SquareReader)


def test_what_else_is_called_so_is_no_slide(square: None, path: Path) -> None:
    other = path.with_name("b.square")
    other.write_bytes(b"something else")
    with pytest.raises(UnsupportedFormatError, match=r"b\.square is not a slide"):
        open_slide(other)
    other.write_bytes(HEAD)
    with pytest.raises(UnreadableSlideError, match="truncated"):
        open_slide(other)


def test_without_it_there_is_none(path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"a\.square is not a slide"):
        open_slide(path)
    assert find_slide(path.parent, "it").main == "label.png"


def test_a_folder_beside_belongs_to_the_slide(path: Path) -> None:
    SLIDE_READERS.add("square", SquareWithFolderReader)
    try:
        (path.parent / "a").mkdir()
        Image.fromarray(tissue(30, 20)).save(path.parent / "a" / "inside.png")
        assert find_companion_folder(path) == path.parent / "a"
        assert find_slide(path.parent, "it").main_path == path
        with pytest.raises(UnsupportedFormatError, match=r"a \.square file alone holds no pixels"):
            check_name("a.square")
    finally:
        SLIDE_READERS.remove("square")


def test_the_first_reader_that_takes_a_file_opens_it(path: Path) -> None:
    label = path.with_name("label.png")
    SLIDE_READERS.add("first", FirstReader)
    try:
        with pytest.raises(UnreadableSlideError, match="truncated"):
            open_slide(label)
    finally:
        SLIDE_READERS.remove("first")
    with open_slide(label) as slide:
        assert slide.width == 30
