"""report.pdf: the one page that is signed, through ReportLab, which is pure Python where an HTML engine brings a browser."""

import io
from typing import Any

from PIL import Image

from serving.exports.export import EXPORTS, Export, import_extra, whole
from serving.exports.pdf_text import PdfText
from serving.exports.sheet import Sheet, make_sheet
from serving.exports.sheet_pictures import SheetPictures, draw_pictures
from serving.scoring.analysis import Analysis

_MM = 72 / 25.4
_MARGIN, _TOP, _WIDTH = 12 * _MM, 11 * _MM, 186 * _MM
_INK, _MUTED, _LINE, _RESEARCH, _WARNING = "#16181d", "#50565f", "#c9cdd3", "#a01e1e", "#b46a00"
_FACT_NAMES = 26 * _MM
_PICTURE_HEIGHT, _CROP_WIDTH, _CROP_HEIGHT = 53 * _MM, 29 * _MM, 23 * _MM
_ACROSS = 6


def to_pdf(analysis: Analysis) -> bytes:
    """One page of A4; the same bytes every time.

    Raises
    ------
    ExportError
        If ReportLab is not installed.
    """
    return _SheetWriter(make_sheet(analysis.report), draw_pictures(analysis)).write()


class _SheetWriter:
    """Sets the page from top to bottom, the signatures and the footer at its end."""

    def __init__(self, sheet: Sheet, pictures: SheetPictures) -> None:
        self._sheet, self._pictures, self._words = sheet, pictures, PdfText()
        self._platypus = import_extra("reportlab.platypus", "pdf")
        self._styles = import_extra("reportlab.lib.styles", "pdf")
        self._canvas_module = import_extra("reportlab.pdfgen.canvas", "pdf")
        self._width, self._height = import_extra("reportlab.lib.pagesizes", "pdf").A4

    def write(self) -> bytes:
        buffer = io.BytesIO()
        canvas = self._canvas_module.Canvas(buffer, pagesize=(self._width, self._height), invariant=1)
        canvas.setTitle(self._sheet.title)
        canvas.setAuthor("mitoserve")
        canvas.setSubject(self._sheet.use)
        bottom = self._draw_foot(canvas)
        frame = self._platypus.Frame(
            _MARGIN, bottom, _WIDTH, self._height - _TOP - bottom, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0
        )  # fmt: skip
        # Whatever is said fits: what would be too much is set smaller.
        inside = self._platypus.KeepInFrame(_WIDTH, self._height - _TOP - bottom - 1, self._story(), mode="shrink")
        frame.addFromList([inside], canvas)
        canvas.showPage()
        canvas.save()
        return buffer.getvalue()

    def _text(self, words: str, size: float = 9, **style: Any) -> Any:
        style = {"fontName": "Helvetica", "textColor": _INK, **style}
        made = self._styles.ParagraphStyle("text", fontSize=size, leading=size * 1.28, **style)
        return self._platypus.Paragraph(self._words.mark_up(words, bold=style["fontName"] == "Helvetica-Bold"), made)

    def _table(self, cells: list[list[Any]], widths: list[float], *more: tuple[Any, ...]) -> Any:
        table = self._platypus.Table(cells, colWidths=widths, hAlign="LEFT")
        plain = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
        plain += [("RIGHTPADDING", (0, 0), (-1, -1), 4), ("TOPPADDING", (0, 0), (-1, -1), 1)]
        table.setStyle([*plain, ("BOTTOMPADDING", (0, 0), (-1, -1), 1.2), *more])
        return table

    def _story(self) -> list[Any]:
        space = self._platypus.Spacer
        return [
            self._head(),
            space(1, 5),
            self._facts(),
            space(1, 6),
            self._numbers(),
            space(1, 3),
            *(self._text(note, 8.5, textColor="#30353d") for note in self._sheet.notes),
            space(1, 7),
            self._wide_pictures(),
            space(1, 5),
            *self._crops(),
            *self._warnings(),
        ]

    def _head(self) -> Any:
        title = [
            self._text("MITOTIC COUNT", 8, textColor=_MUTED),
            self._text(self._sheet.title, 15, fontName="Helvetica-Bold", splitLongWords=1, spaceBefore=1),
        ]
        use = self._text(self._sheet.use, 8.5, fontName="Helvetica-Bold", textColor=_RESEARCH, alignment=2)
        line = ("LINEBELOW", (0, 0), (-1, -1), 1.4, _INK)
        return self._table([[title, use]], [_WIDTH - 54 * _MM, 54 * _MM], line, ("VALIGN", (0, 0), (-1, -1), "BOTTOM"))

    def _facts(self) -> Any:
        cells = [[self._text(name, textColor=_MUTED), self._text(value)] for name, value in self._sheet.facts]
        return self._table(cells, [_FACT_NAMES, _WIDTH - _FACT_NAMES])

    def _numbers(self) -> Any:
        sides = len(self._sheet.sides)
        names = _WIDTH * 0.42
        cells: list[list[Any]] = [
            [self._text("Number", textColor=_MUTED), *(self._right(side, color=_MUTED) for side in self._sheet.sides)]
        ]
        for row in self._sheet.rows:
            font = "Helvetica-Bold" if row.strong else "Helvetica"
            numbers = [self._right(value, size=15 if row.strong else 9, font=font) for value in row.values]
            cells.append([self._text(row.name, fontName=font), *numbers])
        lines = [("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE), ("LINEBELOW", (0, 0), (-1, 0), 1, _INK)]
        middle = ("VALIGN", (0, 0), (-1, -1), "MIDDLE")
        return self._table(cells, [names, *[(_WIDTH - names) / sides] * sides], *lines, middle)

    def _right(self, words: str, *, size: float = 9, font: str = "Helvetica", color: str = _INK) -> Any:
        return self._text(words, size, fontName=font, textColor=color, alignment=2)

    def _image(self, picture: Image.Image, width: float, height: float) -> Any:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=88)
        scale = min(width / picture.width, height / picture.height)
        return self._platypus.Image(buffer, picture.width * scale, picture.height * scale, hAlign="LEFT")

    def _wide_pictures(self) -> Any:
        half = (_WIDTH - 3 * _MM) / 2
        shown = [(self._pictures.overview, "The slide and its hotspots; the one that is counted has the bold outline")]
        if self._pictures.window is not None:
            words = "The counted window with its figures; what was rejected is struck through"
            shown.append((self._pictures.window, words))
        cells = [
            [self._image(picture, half - 4, _PICTURE_HEIGHT), self._text(words, 7.5, textColor=_MUTED)]
            for picture, words in shown
        ]
        return self._table([cells], [half + 1.5 * _MM] * len(cells), ("RIGHTPADDING", (0, 0), (-1, -1), 0))

    def _crops(self) -> list[Any]:
        if not self._pictures.crops:
            return []
        cells = [
            [
                self._platypus.Spacer(_CROP_WIDTH, _CROP_HEIGHT)
                if picture is None
                else self._image(_cut_middle(picture), _CROP_WIDTH, _CROP_HEIGHT),
                self._text(said[:24], 7.5, textColor=_MUTED),
            ]
            for picture, said in self._pictures.crops
        ]
        rows = [cells[i : i + _ACROSS] for i in range(0, len(cells), _ACROSS)]
        full = [row + [""] * (_ACROSS - len(row)) for row in rows]
        return [self._table(full, [_WIDTH / _ACROSS] * _ACROSS), self._platypus.Spacer(1, 3)]

    def _warnings(self) -> list[Any]:
        said = [f"Warning: {warning}" for warning in self._sheet.warnings]
        said += [f"Quality: {self._sheet.quality}"] if self._sheet.quality else []
        cells = [[self._text(one, 8)] for one in said]
        cells += (
            [[self._text(note, 8)]] if (note := self._words.note()) else []
        )  # of the whole page: nothing is set after it
        if not cells:
            return []
        before = ("LINEBEFORE", (0, 0), (0, -1), 3, _WARNING)
        padding = ("LEFTPADDING", (0, 0), (-1, -1), 7)
        ground = ("BACKGROUND", (0, 0), (-1, -1), "#fff8ec")
        return [self._table(cells, [_WIDTH], padding, before, ground)]

    def _draw_foot(self, canvas: Any) -> float:
        """Draw what stands at the end of the page; gives where it begins, pt from below."""
        y = _TOP
        canvas.setStrokeColor("#9aa0a8")
        canvas.setLineWidth(0.5)
        canvas.line(_MARGIN, y + 9, _MARGIN + _WIDTH, y + 9)
        canvas.setFillColor(_MUTED)
        canvas.setFont("Helvetica", 7)
        canvas.drawString(_MARGIN, y, self._sheet.footer)
        canvas.drawRightString(_MARGIN + _WIDTH, y, "Page 1 of 1")
        y += 15
        for signature in reversed(self._sheet.signatures):
            color = _INK if signature.current else _RESEARCH
            box = ("BOX", (0, 0), (-1, -1), 0.8, color)
            table = self._table(
                [[self._text(signature.text, textColor=color)]], [_WIDTH], box, ("LEFTPADDING", (0, 0), (-1, -1), 6),
                ("TOPPADDING", (0, 0), (-1, -1), 3), ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
            )  # fmt: skip
            _, height = table.wrapOn(canvas, _WIDTH, self._height)
            table.drawOn(canvas, _MARGIN, y)
            y += height + 3
        if not self._sheet.signatures:
            y = self._draw_lines(canvas, y)
        return y + 5

    def _draw_lines(self, canvas: Any, y: float) -> float:
        part = (_WIDTH - 12 * _MM) / 3
        canvas.setStrokeColor(_INK)
        for number, name in enumerate(("Name", "Date", "Signature")):
            x = _MARGIN + number * (part + 6 * _MM)
            canvas.line(x, y + 9, x + part, y + 9)
            canvas.setFont("Helvetica", 7.5)
            canvas.drawString(x, y, name)
        canvas.setFillColor(_INK)
        canvas.setFont("Helvetica", 9)
        canvas.drawString(_MARGIN, y + 28, "Not signed.")
        return y + 40


def _cut_middle(picture: Image.Image) -> Image.Image:
    """The middle of a picture in the shape of its place, as the page's style cuts it in HTML."""
    height = min(round(picture.width * _CROP_HEIGHT / _CROP_WIDTH), picture.height)
    top = (picture.height - height) // 2
    return picture.crop((0, top, picture.width, top + height))


EXPORTS.add(
    "pdf",
    Export("report.pdf", "pdf", "application/pdf", whole(to_pdf), shows_review=True, shows_views=True, rank=14),
)
