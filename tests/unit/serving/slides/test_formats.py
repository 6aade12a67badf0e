"""The same field in every way in which files store it: the same pixels, or a refusal that names the reason."""

import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.formats import DOTS, found_line, refused_line
from benchmarks.formats import field as section_with_dots
from serving.core.errors import MitoserveError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.slides.opening import open_slide
from serving.slides.resample import Pixels
from tests.fakes import DotDetector
from tests.field_files import MPP, scale_pixels
from tests.formats import FORMATS, DecodedPicture, find_in, write
from tests.mutants import Specimen, mutate, read_entries
from tests.samples import noise

WIDTH, HEIGHT = 700, 520
CODEC_LOSS = 3.0
"""Mean absolute difference in grey values that a codec may make."""


@pytest.fixture(scope="module")
def field() -> Pixels:
    return noise(WIDTH, HEIGHT)


@pytest.mark.parametrize("name", [name for name, stored in FORMATS.items() if stored.refused is None])
def test_every_way_of_storing_shows_the_same_pixels(tmp_path: Path, field: Pixels, name: str) -> None:
    stored = FORMATS[name]
    with open_slide(write(tmp_path, name, field)) as slide:
        expected = scale_pixels(field, stored.scale)
        part = Region(*stored.at, round(WIDTH * stored.shown[0]), round(HEIGHT * stored.shown[1]))
        found = slide.read(part, expected.shape[1], expected.shape[0])
        small = slide.read(part, WIDTH // 4, HEIGHT // 4)
        if stored.states_mpp:
            sides = [MPP / scale for scale in stored.shown]
            assert slide.pixel_size == pytest.approx(sides, rel=1e-3)
    loss = np.abs(found.astype(int) - expected).mean()
    assert loss == 0 if not stored.lossy else loss < CODEC_LOSS
    assert np.abs(small.astype(int) - scale_pixels(field, (0.25, 0.25))).mean() < CODEC_LOSS


@pytest.fixture(scope="module")
def section() -> Pixels:
    return section_with_dots(3, dots=True)


@pytest.fixture(scope="module")
def reference(section: Pixels, tmp_path_factory: pytest.TempPathFactory) -> DecodedPicture:
    name = "deflate TIFF"
    return find_in(write(tmp_path_factory.mktemp("whole"), name, section), FORMATS[name], DotDetector())


@pytest.fixture(scope="module")
def table() -> list[str]:
    """The lines of the page's table, without its head."""
    page = (Path(__file__).parents[4] / "docs" / "formats.md").read_text()
    return page.partition("| stored as |")[2].partition("\n\n")[0].splitlines()[2:]


def test_the_page_has_each_format_once_in_order(table: list[str]) -> None:
    assert [line.split(" | ")[0].removeprefix("| ") for line in table] == list(FORMATS)


@pytest.mark.parametrize("name", [name for name, stored in FORMATS.items() if stored.refused is None])
def test_figures_tissue_and_centres_do_not_depend_on_the_format(
    tmp_path: Path, section: Pixels, reference: DecodedPicture, table: list[str], name: str
) -> None:
    assert len(reference.centres) == len(DOTS)
    found = find_in(write(tmp_path, name, section), FORMATS[name], DotDetector())
    assert found.agrees(reference, lossy=FORMATS[name].lossy)
    assert found_line(name, found, reference) in table, (
        "python -m benchmarks.formats prints the table of docs/formats.md"
    )


@pytest.mark.parametrize("name", [name for name, stored in FORMATS.items() if stored.refused is not None])
def test_what_is_not_converted_rightly_is_refused_by_name(
    tmp_path: Path, section: Pixels, table: list[str], name: str
) -> None:
    path = write(tmp_path, name, section)
    with pytest.raises(UnsupportedFormatError) as refusal:
        open_slide(path, name="block-7")
    assert str(FORMATS[name].refused) in str(refusal.value)
    assert "block-7" in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)
    assert refused_line(name, str(refusal.value)) in table


@pytest.mark.parametrize("name", ["zstd TIFF", "OME-TIFF, planar", "16-bit big-endian TIFF", "big-endian TIFF, JPEG"])
def test_whatever_is_damaged_the_error_is_an_intended_one(tmp_path: Path, field: Pixels, name: str) -> None:
    path = write(tmp_path, name, field)
    chance, specimen = random.Random(name), Specimen(name, path.read_bytes(), read_entries(path), name)
    refused = 0
    for _ in range(30):
        path.write_bytes(mutate(specimen, chance)[1])
        try:
            with open_slide(path) as slide:
                slide.thumbnail(64)
        except MitoserveError:
            refused += 1
    assert refused > 5
