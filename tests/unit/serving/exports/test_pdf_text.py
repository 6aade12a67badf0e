"""Words of every alphabet in a PDF: shown as they are, or said not to be."""

import importlib.util
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.exports import EXPORTS
from serving.exports.pdf_text import FONTS, PdfText
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue
from tests.pdf_pages import count_pages

metrics = pytest.importorskip("reportlab.pdfbase.pdfmetrics")

SHOWN = ("Łukasz Žižka", "Ελένη Παπαδοπούλου", "Ирина Щукина", "Şule Öğüt", "Nguyễn Hữu Đức")
NOT_SHOWN = {"王小明": 3, "ד״ר כהן": 6, "محمد": 3, "김": 1, "東京大学病院病理部": 8}
"""Different signs that are written as codes, by name."""


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("bold", [False, True])
def test_alphabets_of_europe_are_shown_as_they_are(name: str, bold: bool) -> None:
    words = PdfText()
    assert "".join(text for _, text in words.split(name, bold=bold)) == name
    assert words.note() == ""


@pytest.mark.parametrize("name", NOT_SHOWN)
def test_what_no_font_has_is_written_as_its_number_and_said(name: str) -> None:
    words = PdfText()
    written = "".join(text for _, text in words.split(name))
    assert re.sub(r"\[U\+([0-9A-F]{4,})\]", lambda code: chr(int(code[1], 16)), written) == name
    assert len(set(re.findall(r"U\+\w+", written))) == NOT_SHOWN[name]
    assert words.note().startswith("This PDF has no letters for U+")
    assert ("and 2 more" in words.note()) == (NOT_SHOWN[name] == 8)


@given(st.text(max_size=40))
def test_every_sign_is_in_the_font_that_it_is_set_in(said: str) -> None:
    words = PdfText()
    parts = words.split(said)
    for font, text in parts:
        if font == "Helvetica":
            assert text.encode("cp1252").decode("cp1252") == text
        else:
            assert {ord(sign) for sign in text} <= set(metrics.getFont(font).face.charToGlyph)
    written = sum(len(text) for _, text in parts)
    assert bool(words.note()) == (written != len(unicodedata.normalize("NFC", said)))  # a code is longer than its sign


def test_the_fonts_are_those_that_matplotlib_brings() -> None:
    """Nobody has changed them: their licence is that of these files."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        pytest.skip("matplotlib is not installed")
    theirs = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    files = {path.name: path.read_bytes() for path in FONTS.glob("*.ttf")}
    assert len(files) == 2
    assert files == {name: (theirs / name).read_bytes() for name in files}


@pytest.fixture(scope="module")
def scored() -> Analysis:
    pixels = tissue(1200, 900)
    plant(pixels, 400, 400)
    return score_slide(ArraySlide(pixels, mpp=0.25, name="Παπαδοπούλου 王.svs"), DotDetector())


@pytest.mark.parametrize("suffix", ["pdf", "appendix.pdf"])
def test_a_report_embeds_what_it_needs_and_says_what_it_lacks(scored: Analysis, suffix: str) -> None:
    export = next(one for one in EXPORTS.values() if one.suffix == suffix)
    slide = scored.report.slide.model_copy(update={"name": "K 17.svs"})
    plain = replace(scored, report=scored.report.model_copy(update={"slide": slide}))
    without, with_names = export.render(plain), export.render(scored)
    assert b"DejaVuSans" not in without
    assert b"DejaVuSans" in with_names
    assert export.render(scored) == with_names
    if suffix == "pdf":
        assert count_pages(with_names) == 1
