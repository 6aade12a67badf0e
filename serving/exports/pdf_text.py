"""Words in a PDF: in Helvetica as far as it goes, else in DejaVu Sans, which is embedded; what neither has is written as its code.

Helvetica, which every reader of PDFs brings, has the letters of Western Europe. DejaVu Sans 2.37 (fonts/LICENSE) has those of all of
Europe, Greek and Cyrillic too. What is written from right to left, or of signs that join, ReportLab cannot set.
"""

import re
import unicodedata
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from serving.exports.export import import_extra

FONTS = Path(__file__).parent / "fonts"
_PLAIN, _BOLD = ("Helvetica", "DejaVuSans"), ("Helvetica-Bold", "DejaVuSans-Bold")
_MOST_CODES = 6
_JOINS = ("Mn", "Mc", "Me")
_RIGHT_TO_LEFT = ("R", "AL", "AN")


class PdfText:
    """The words of one PDF. It remembers what the fonts do not have.

    Raises
    ------
    ExportError
        If ReportLab is not installed.
    """

    def __init__(self) -> None:
        self._metrics = import_extra("reportlab.pdfbase.pdfmetrics", "pdf")
        fonts = import_extra("reportlab.pdfbase.ttfonts", "pdf")
        for _, name in (_PLAIN, _BOLD):
            if name not in self._metrics.getRegisteredFontNames():
                self._metrics.registerFont(fonts.TTFont(name, str(FONTS / f"{name}.ttf")))
        self._unknown: dict[str, None] = {}

    def split(self, words: str, *, bold: bool = False) -> list[tuple[str, str]]:
        """The words as (font, text), each in one font that has all its signs."""
        first, second = _BOLD if bold else _PLAIN
        glyphs = self._metrics.getFont(second).face.charToGlyph
        parts = [
            (first, word) if _is_western(word) else (second, "".join(self._show(sign, glyphs) for sign in word))
            for word in re.split("( )", re.sub(r"\s", " ", unicodedata.normalize("NFC", words)))
        ]
        return [(font, "".join(text for _, text in part)) for font, part in groupby(parts, lambda part: part[0])]

    def mark_up(self, words: str, *, bold: bool = False) -> str:
        """The words as ReportLab's paragraphs read them."""
        first = (_BOLD if bold else _PLAIN)[0]
        return "".join(
            escape(text) if font == first else f'<font name="{font}">{escape(text)}</font>'
            for font, text in self.split(words, bold=bold)
        )

    def draw(self, canvas: Any, x: float, y: float, words: str, size: float) -> None:
        """Draw a line from (x, y) on. x, y, size : pt, the size of the font."""
        for font, text in self.split(words):
            canvas.setFont(font, size)
            canvas.drawString(x, y, text)
            x += self._metrics.stringWidth(text, font, size)

    def note(self) -> str:
        """What of the words so far is written as a code, in a sentence; empty where nothing is."""
        if not self._unknown:
            return ""
        codes = list(map(_code, self._unknown))
        rest = len(codes) - _MOST_CODES
        said = ", ".join(codes[:_MOST_CODES]) + (f" and {rest} more" if rest > 0 else "")
        return f"This PDF has no letters for {said}, and writes their Unicode numbers. The HTML report shows them: print that."

    def _show(self, sign: str, glyphs: dict[int, int]) -> str:
        if ord(sign) in glyphs and _stands_alone(sign):
            return sign
        self._unknown[sign] = None
        return f"[{_code(sign)}]"


def _is_western(word: str) -> bool:
    try:
        word.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return word.isprintable()


def _stands_alone(sign: str) -> bool:
    return (
        sign.isprintable()
        and unicodedata.category(sign) not in _JOINS
        and unicodedata.bidirectional(sign) not in _RIGHT_TO_LEFT
    )


def _code(sign: str) -> str:
    return f"U+{ord(sign):04X}"
