"""asap.xml: annotations of ASAP (computationalpathologygroup), also what MONAI Label answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

from serving.core.report import Report
from serving.core.words import RESEARCH_USE
from serving.exports.export import EXPORTS, Export, in_chunks, streamed
from serving.exports.figures import count_shown, list_figures, list_hotspots, state_atypia, state_review
from serving.exports.file_px import in_file_px
from serving.scoring.analysis import Analysis

Group = tuple[str, str]
"""Name and colour."""
Box = tuple[float, float, float, float]
FIGURES, HOTSPOTS = ("mitotic figure", "#c80000"), ("hotspot", "#0072b2")


@dataclass(frozen=True, slots=True)
class AsapAnnotation:
    """A box (x, y, width, height), level-0 px, and what is said of it."""

    name: str
    box: Box
    group: Group
    kind: str = "Rectangle"
    more: Mapping[str, str] = field(default_factory=dict)
    """Further attributes; the format's readers pass over those that they do not know."""


def to_asap(analysis: Analysis) -> Iterator[bytes]:
    """A rectangle a figure and a hotspot (a disc's is its bounding box), level-0 px, in a group each."""
    report = in_file_px(analysis.report)
    return asap_document(_annotations(report), (FIGURES, HOTSPOTS), state_review(report) | state_atypia(report))


def asap_document(
    annotations: Iterable[AsapAnnotation], groups: Sequence[Group], stated: Mapping[str, str] | None = None
) -> Iterator[bytes]:
    """The document in chunks, UTF-8.

    stated : attributes of all annotations together
    """
    listed = "".join(
        f"<Group {_attributes({'Name': name, 'PartOfGroup': 'None', 'Color': colour})}><Attributes/></Group>"
        for name, colour in groups
    )
    head = (
        f'<?xml version="1.0"?>\n<!-- {RESEARCH_USE} -->\n<ASAP_Annotations><Annotations {_attributes(stated or {})}>'
    )
    tail = f"</Annotations><AnnotationGroups>{listed}</AnnotationGroups></ASAP_Annotations>\n"
    return in_chunks(head, map(_element, annotations), tail, between="")


def _annotations(report: Report) -> Iterator[AsapAnnotation]:
    for i, d in enumerate(list_figures(report)):
        sure = "added" if d.probability is None else f"{d.probability:.3f}"
        sure += ", atypical" if d.atypical else ""
        said = d.statement | d.atypia_words | d.ensemble_words
        yield AsapAnnotation(f"figure {i} ({sure})", (d.x, d.y, d.width, d.height), FIGURES, more=said)
    for i, h in enumerate(list_hotspots(report), 1):
        name = f"hotspot {i}: {count_shown(h)} in {h.area_mm2:g} mm2"
        yield AsapAnnotation(name, (h.x, h.y, h.width, h.height), HOTSPOTS)


def _element(annotation: AsapAnnotation) -> str:
    x, y, width, height = annotation.box
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    points = "".join(f'<Coordinate Order="{i}" X="{a:.2f}" Y="{b:.2f}"/>' for i, (a, b) in enumerate(corners))
    name, colour = annotation.group
    stated = {"Name": annotation.name, "Type": annotation.kind, "PartOfGroup": name, "Color": colour, **annotation.more}
    return f"<Annotation {_attributes(stated)}><Coordinates>{points}</Coordinates></Annotation>"


def _attributes(stated: Mapping[str, str]) -> str:
    return " ".join(f"{name}={quoteattr(value)}" for name, value in stated.items())


EXPORTS.add("asap", Export("asap.xml", "asap.xml", "application/xml", streamed(to_asap), shows_review=True, rank=7))
