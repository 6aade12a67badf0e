"""report.pdf, through ReportLab: pure Python and small, where an HTML engine would bring a browser's worth of libraries."""

import io
from typing import Any
from xml.sax.saxutils import escape

from serving.exports.errors import import_extra
from serving.exports.export import EXPORTS, Export, whole
from serving.exports.map_picture import draw_map
from serving.exports.printed import sections
from serving.scoring.analysis import Analysis


def to_pdf(analysis: Analysis) -> bytes:
    """The printable report on A4; the same bytes every time.

    Raises
    ------
    ExportError
        If ReportLab is not installed.
    """
    platypus, styles = import_extra("reportlab.platypus", "pdf"), import_extra("reportlab.lib.styles", "pdf")
    sheet, report = styles.getSampleStyleSheet(), analysis.report
    body, title, heading = sheet["BodyText"], sheet["Title"], sheet["Heading2"]

    def text(words: str, style: Any = body) -> Any:
        return platypus.Paragraph(escape(words), style)

    buffer = io.BytesIO()
    document = platypus.SimpleDocTemplate(
        buffer, pagesize=import_extra("reportlab.lib.pagesizes", "pdf").A4, invariant=1, title=report.slide.name,
        author="mitoserve", subject=report.research_use,
    )  # fmt: skip
    story = [text(report.slide.name, title), text(report.research_use)]
    for part in sections(report):
        cells = [[text(name), text(value)] for name, value in part.rows]
        table = platypus.Table(cells, colWidths=[document.width * 0.34, document.width * 0.66])
        table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.3, "#dddddd")])
        story += [text(part.title, heading), table]
    story += [platypus.PageBreak(), _picture(analysis, platypus, document.width, document.height - 40)]
    document.build([*story, text(report.research_use)])
    return buffer.getvalue()


def _picture(analysis: Analysis, platypus: Any, width: float, height: float) -> Any:
    drawn, png = draw_map(analysis), io.BytesIO()
    drawn.save(png, "PNG")
    scale = min(width / drawn.width, height / drawn.height)
    return platypus.Image(png, drawn.width * scale, drawn.height * scale)


EXPORTS.add("pdf", Export("report.pdf", "pdf", "application/pdf", whole(to_pdf), shows_review=True, rank=14))
