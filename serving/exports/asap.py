"""asap.xml: annotations of ASAP (computationalpathologygroup), also the answer of MONAI Label."""

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from serving.exports.streaming import in_chunks
from serving.report import Report
from serving.scoring.analysis import Analysis

FIGURES, HOTSPOTS = ("mitotic figure", "#c80000"), ("hotspot", "#0072b2")


def to_asap(analysis: Analysis) -> Iterator[bytes]:
    """A rectangle a figure and a hotspot (a disc's is its bounding box), level-0 px, in a group each."""
    groups = "".join(
        f'<Group Name={quoteattr(name)} PartOfGroup="None" Color={quoteattr(colour)}><Attributes/></Group>'
        for name, colour in (FIGURES, HOTSPOTS)
    )
    note = analysis.report.research_use
    head = f'<?xml version="1.0"?>\n<!-- {note} -->\n<ASAP_Annotations><Annotations>'
    tail = f"</Annotations><AnnotationGroups>{groups}</AnnotationGroups></ASAP_Annotations>\n"
    return in_chunks(head, _annotations(analysis.report), tail, between="")


def _annotations(report: Report) -> Iterator[str]:
    for i, d in enumerate(report.detections):
        yield _rectangle(f"figure {i} ({d.probability:.3f})", (d.x, d.y, d.width, d.height), FIGURES)
    for i, h in enumerate(report.hotspots, 1):
        name = f"hotspot {i}: {h.mitotic_figures} in {h.area_mm2:g} mm2"
        yield _rectangle(name, (h.x, h.y, h.width, h.height), HOTSPOTS)


def _rectangle(name: str, box: tuple[float, float, float, float], group: tuple[str, str]) -> str:
    x, y, width, height = box
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    points = "".join(f'<Coordinate Order="{i}" X="{a:.2f}" Y="{b:.2f}"/>' for i, (a, b) in enumerate(corners))
    named = f"Name={quoteattr(name)} PartOfGroup={quoteattr(group[0])} Color={quoteattr(group[1])}"
    return f'<Annotation Type="Rectangle" {named}><Coordinates>{points}</Coordinates></Annotation>'
