"""appendix.pdf: the technical appendix of the report, through ReportLab."""

import io
from typing import Any

from serving.exports.appendix import sections
from serving.exports.export import EXPORTS, Export, import_extra, whole
from serving.exports.map_picture import draw_map
from serving.exports.pdf_text import PdfText
from serving.scoring.analysis import Analysis


def to_pdf(analysis: Analysis) -> bytes:
    """Pages of A4 with their numbers; the same bytes every time.

    Raises
    ------
    ExportError
        If ReportLab is not installed.
    """
    platypus, styles = import_extra("reportlab.platypus", "pdf"), import_extra("reportlab.lib.styles", "pdf")
    sheet, report, words = styles.getSampleStyleSheet(), analysis.report, PdfText()
    body, title, heading = sheet["BodyText"], sheet["Title"], sheet["Heading2"]

    def text(said: str, style: Any = body) -> Any:
        return platypus.Paragraph(words.mark_up(said, bold=style is not body), style)

    buffer = io.BytesIO()
    document = platypus.SimpleDocTemplate(
        buffer, pagesize=import_extra("reportlab.lib.pagesizes", "pdf").A4, invariant=1, title=report.slide.name,
        author="mitoserve", subject=report.research_use,
    )  # fmt: skip
    story = [text(f"{report.slide.name}: technical appendix", title), text(report.research_use)]
    for part in sections(report):
        cells = [[text(name), text(value)] for name, value in part.rows]
        table = platypus.Table(cells, colWidths=[document.width * 0.34, document.width * 0.66])
        table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.3, "#dddddd")])
        story += [text(part.title, heading), table]
    story += [text(note)] if (note := words.note()) else []
    story += [platypus.PageBreak(), _picture(analysis, platypus, document.width, document.height - 40)]
    document.build([*story, text(report.research_use)], canvasmaker=_numbered(report.slide.name, words))
    return buffer.getvalue()


def _numbered(name: str, words: PdfText) -> Any:
    """A canvas that says on each page which of how many it is."""
    canvas: Any = import_extra("reportlab.pdfgen.canvas", "pdf").Canvas

    class Numbered(canvas):  # type: ignore[misc]  # its base is known when ReportLab is there
        """Holds its pages back until it knows how many there are."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._held: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802  # ReportLab's name
            self._held.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._held, 1):
                self.__dict__.update(page)
                self.setFont("Helvetica", 7)
                self.setFillColor("#50565f")
                self.drawRightString(
                    self._pagesize[0] - 40, 24, f"Technical appendix, page {number} of {len(self._held)}"
                )
                words.draw(self, 40, 24, name[:90], 7)
                super().showPage()
            super().save()

    return Numbered


def _picture(analysis: Analysis, platypus: Any, width: float, height: float) -> Any:
    drawn, png = draw_map(analysis), io.BytesIO()
    drawn.save(png, "PNG")
    scale = min(width / drawn.width, height / drawn.height)
    return platypus.Image(png, drawn.width * scale, drawn.height * scale)


EXPORTS.add(
    "appendix-pdf",
    Export(
        "appendix.pdf",
        "appendix.pdf",
        "application/vnd.mitoserve.appendix+pdf",
        whole(to_pdf),
        shows_review=True,
        rank=22,
    ),
)
