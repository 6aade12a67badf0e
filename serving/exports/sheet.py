"""What the one page says that is signed: a name and a value a line, in words; HTML and PDF only set it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serving.core.counts import (
    AtypicalCount,
    CountComponent,
    Counts,
    Hotspot,
    ReadingAgreement,
    ReviewedCounts,
    ReviewedWindow,
    Signature,
)
from serving.core.report import Report
from serving.exports.figures import NOT_JUDGED, ShownObject, list_objects, list_regions
from serving.scoring.recount import find_own_threshold
from serving.scoring.report_identity import identify_counts

CROPS = 12
"""Figures whose surroundings the page shows."""
_NONE = "-"
_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_WARNING, _WARNINGS, _SIGNATURES = 80, 200, 260, 4, 3


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A number for each side.

    strong : whether it is what the page is about
    """

    name: str
    values: tuple[str, ...]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class SheetSignature:
    """Who signed what, and whether it holds."""

    text: str
    current: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """The page.

    sides : whose numbers the rows have: the model's, and then the reviewers' and the consensus's where there are any
    notes : of the review, a sentence each
    quality : empty where nothing was masked
    signatures : empty where nobody has signed
    """

    title: str
    use: str
    facts: tuple[tuple[str, str], ...]
    sides: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    quality: str
    signatures: tuple[SheetSignature, ...]
    footer: str


@dataclass(frozen=True, slots=True)
class _Side:
    """One column: whole slide, and what it has in a window."""

    name: str
    counts: Counts
    place: int
    """-1 for the model, 0 for the review, from 1 for readers."""

    def window(self, window: Hotspot) -> Hotspot | ReviewedWindow | None:
        if self.place < 0:
            return window
        return window.reviewed if self.place == 0 else window.readings[self.place - 1]


def make_sheet(report: Report) -> Sheet:
    """The page of a report."""
    sides = _list_sides(report)
    return Sheet(
        title=_shorten(report.slide.name, _LONGEST_NAME),
        use=report.research_use,
        facts=tuple(_list_facts(report)),
        sides=tuple(side.name for side in sides),
        rows=tuple(_list_rows(report, sides)),
        notes=tuple(_list_notes(report)),
        warnings=tuple(_list_warnings(report)),
        quality=_describe_quality(report),
        signatures=tuple(_list_signatures(report.signatures)),
        footer=_describe_origin(report),
    )


def find_window(report: Report) -> tuple[str, Hotspot] | None:
    """The window that the page is about, with its name: one that was asked for, else the first hotspot."""
    if report.fields:
        return "Field", report.fields[0]
    if report.hotspots:
        return "Hotspot 1", report.hotspots[0]
    if report.review is not None and report.review.hotspots:
        return "Hotspot 1 after review", report.review.hotspots[0]
    return None


def list_shown(report: Report) -> list[ShownObject]:
    """The objects of the window that the page is about, figures first, likeliest first; added ones before all."""
    found = find_window(report)
    if found is None:
        return []
    inside = [shown for shown in list_objects(report) if _holds(found[1], shown.centre)]
    return sorted(inside, key=lambda shown: (not shown.is_figure, -(shown.probability or 2.0), shown.key))


def caption(shown: ShownObject) -> str:
    """What stands below the surroundings of an object."""
    said = "added" if shown.probability is None else f"{shown.probability:.2f}"
    return said if shown.verdict in (None, NOT_JUDGED) or shown.probability is None else f"{said} {shown.verdict}"


def _holds(window: Hotspot, centre: tuple[float, float]) -> bool:
    x, y = centre[0] - window.x, centre[1] - window.y
    if window.parts is not None:
        return any(
            0 <= centre[0] - px < width and 0 <= centre[1] - py < height for px, py, width, height in window.parts
        )
    if window.shape == "disc":
        radius = window.width / 2
        return (x - radius) ** 2 + (y - radius) ** 2 <= radius**2
    return 0 <= x < window.width and 0 <= y < window.height


def _list_sides(report: Report) -> list[_Side]:
    sides = [_Side("Model", report.counts, -1)]
    sides += [
        _Side(f"Reviewer {number}: {_shorten(one.reviewer, 30)}", one.review.counts, number)
        for number, one in enumerate(report.readings, 1)
    ]
    if report.review is not None:
        sides.append(_Side(_name_review(report.review), report.review.counts, 0))
    return sides


def _name_review(review: ReviewedCounts) -> str:
    if review.rule == "consensus":
        return "Consensus"
    if review.rule == "majority":
        return f"Most of {len(review.reviewers)} reviewers"
    return f"Reviewer: {_shorten(review.reviewers[0], 30)}" if review.reviewers else "After review"


def _list_rows(report: Report, sides: Sequence[_Side]) -> list[SheetRow]:
    windows = []
    if report.hotspots:
        windows.append(("Hotspot 1", report.hotspots[0]))
    elif report.review is not None and report.review.hotspots:
        windows.append(("Hotspot 1 after review", report.review.hotspots[0]))
    if report.fields:
        windows.append(("Field that was placed", report.fields[0]))
    rows = []
    for name, window in windows:
        seen = [side.window(window) for side in sides]
        area = f"{window.area_mm2:.2f} mm²"
        rows.append(
            SheetRow(f"{name}: mitotic figures in {area}", _write(seen, lambda w: str(w.mitotic_figures)), True)
        )
        rows.append(SheetRow("per mm²", _write(seen, lambda w: f"{w.per_mm2:.1f}")))
        if window.component is not None:
            rows.append(SheetRow(_name_component(window.component), _write(seen, lambda w: _estimate(w.component))))
        if window.atypical is not None:
            rows.append(SheetRow("atypical", _write(seen, lambda w: _atypical(w.atypical))))
    tissue = f"{report.counts.tissue_area_mm2:.2f} mm²"
    rows.append(
        SheetRow(f"Whole slide: mitotic figures in {tissue}", tuple(str(s.counts.mitotic_figures) for s in sides), True)
    )
    rows.append(
        SheetRow("per mm²", tuple(_NONE if s.counts.per_mm2 is None else f"{s.counts.per_mm2:.1f}" for s in sides))
    )
    if report.counts.atypical is not None:
        rows.append(SheetRow("atypical", tuple(_atypical(s.counts.atypical) for s in sides)))
    return rows


def _write(
    seen: Sequence[Hotspot | ReviewedWindow | None], say: Callable[[Hotspot | ReviewedWindow], str]
) -> tuple[str, ...]:
    return tuple(_NONE if one is None else say(one) for one in seen)


def _name_component(component: CountComponent) -> str:
    cut_offs = " and ".join(str(most) for most in component.cut_offs)
    return f"{_shorten(component.title, 60)}{f', cut-offs {cut_offs}' if cut_offs else ''}"


def _estimate(component: CountComponent | None) -> str:
    return _NONE if component is None or component.estimate is None else component.estimate


def _atypical(count: AtypicalCount | None) -> str:
    if count is None:
        return _NONE
    return f"{count.figures} of {count.of}" + ("" if count.share is None else f" ({count.share:.0%})")


def _list_facts(report: Report) -> list[tuple[str, str]]:
    counting, review = report.settings.counting, report.review
    facts = [("Scored", report.software.started_at[:10])]
    names = [one.reviewer for one in report.readings] or ([] if review is None else review.reviewers)
    facts.append(("Reviewers" if len(names) > 1 else "Reviewer", _shorten(", ".join(names), 120) or "nobody"))
    if review is not None and review.last_at is not None:
        facts.append(("Reviewed until", _moment(review.last_at)))
    found = find_window(report)
    if found is not None:
        facts.append(("Field", _describe_field(report, found[1])))
    component = None if found is None else found[1].component
    if component is not None:
        why = "" if component.estimate is not None or component.reason is None else f"; no estimate: {component.reason}"
        facts.append(("Cut-offs", _shorten(f"{component.title}{why}. Source: {component.source}", 330)))
    elif counting is not None and counting.profile is None:
        facts.append(("Cut-offs", "none chosen"))
    facts.append(("Regions", _describe_regions(report)))
    threshold = counting.threshold if counting is not None and counting.threshold is not None else None
    least = find_own_threshold(report) if threshold is None else threshold
    models = ", ".join(f"{model.name} {model.version}" for model in report.used_models)
    facts.append(("Model", _shorten(f"{models}; figures count from a probability of {least:g}", _LONGEST_TEXT)))
    return facts


def _describe_field(report: Report, window: Hotspot) -> str:
    counting = report.settings.counting
    fields = ""
    if counting is not None and counting.field_diameter_mm is not None:
        fields = f"{counting.fields} HPF of {counting.field_diameter_mm:.2f} mm, "
    tissue = "" if window.tissue_fraction is None else f", {window.tissue_fraction:.0%} tissue"
    fields = fields or (f"{len(window.parts)} connected fields, " if window.parts else "")
    shape = {"disc": "disc", "rectangle": "4:3 rectangle", "fields": "squares that touch"}[window.shape]
    middle = window.x + window.width / 2, window.y + window.height / 2
    return f"{fields}{window.area_mm2:.2f} mm², {shape}{tissue}, around x {middle[0]:.0f}, y {middle[1]:.0f} px"


def _describe_regions(report: Report) -> str:
    said = []
    for use, outlines in list_regions(report):
        if outlines:
            names = ", ".join(sorted({one.name for one in outlines}))
            said.append(f"{'counted in' if use == 'within' else 'left out'}: {names} ({len(outlines)})")
    if report.settings.roi is not None:
        said.append("scored in a region of interest")
    return _shorten("; ".join(said), 160) or "none: all tissue that was scored"


def _list_notes(report: Report) -> list[str]:
    review, notes = report.review, []
    if review is None:
        return ["Not reviewed: all numbers are the model's."]
    of = report.counts.mitotic_figures
    who = [(one.reviewer, one.review) for one in report.readings] or [("", review)]
    for name, said in who:
        begin = f"{_shorten(name, 30)}: " if name else ""
        notes.append(
            f"{begin}{of - said.unjudged} of the model's {of} figures judged, {said.rejected} of them rejected; {said.added} added"
        )
    if report.agreement is not None:
        notes.append(describe_agreement(report.agreement))
    return notes


def describe_agreement(agreement: ReadingAgreement) -> str:
    """How far two readers agree, in a sentence."""
    if agreement.judged_by_both == 0:
        return "Agreement: no object was judged by both readers."
    kappa = "not defined, both said the same of everything" if agreement.kappa is None else f"{agreement.kappa:.2f}"
    undecided = (
        f", {agreement.undecided} of them without a consensus: they count as the model says"
        if agreement.undecided
        else ""
    )
    differ = "1 disagreement" if agreement.disagreements == 1 else f"{agreement.disagreements} disagreements"
    return (
        f"Agreement: the same on {agreement.agreed} of {agreement.judged_by_both} objects that both judged; Cohen's kappa (1960) "
        f"{kappa}; {differ}{undecided}"
    )


def _list_warnings(report: Report) -> list[str]:
    shown = [_shorten(warning, _LONGEST_WARNING) for warning in report.warnings[:_WARNINGS]]
    rest = len(report.warnings) - len(shown)
    return [*shown, *([f"{rest} more warnings are in the technical appendix"] if rest else [])]


def _describe_quality(report: Report) -> str:
    quality = report.quality
    if quality is None or quality.masked_tissue_mm2 <= 0:
        return ""
    what = ", ".join(f"{area.reason} {area.tissue_mm2:.2f} mm²" for area in quality.areas if area.tissue_mm2 > 0)
    use = "left out of all counts" if report.settings.qc == "exclude" else "counted all the same"
    return _shorten(f"{quality.masked_tissue_mm2:.2f} mm² of tissue cannot be relied on ({what}): {use}", _LONGEST_TEXT)


def _list_signatures(signatures: Sequence[Signature]) -> list[SheetSignature]:
    return [SheetSignature(describe_signature(one), one.current) for one in signatures[:_SIGNATURES]]


def describe_signature(signature: Signature) -> str:
    """Who signed when what, and whether it still holds."""
    shown = signature.reviewer or signature.name or signature.author
    key = signature.name or signature.author
    by = shown if shown == key else f"{shown} (as {key})"
    said = f"Signed by {_shorten(by, 80)} on {_moment(signature.at)}; counts {signature.sha256[:16]}"
    return said if signature.current else f"{said}. NO LONGER CURRENT: verdicts or regions were changed after signing"


def _describe_origin(report: Report) -> str:
    counts = "" if report.review is None else f"counts {identify_counts(report)[:16]} · "
    return f"{counts}analysis {report.analysis_id} · mitoserve {report.software.version} · slide {report.slide.sha256[:16]}"


def _moment(stated: str) -> str:
    """A time of the report as people write it."""
    return stated.replace("T", " ").removesuffix("Z")[:16] + " UTC"


def _shorten(text: str, most: int) -> str:
    """The text, its middle left out where it is too long: the ends of names tell them apart."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    if len(printable) <= most:
        return printable
    return f"{printable[: most // 2 - 1]}…{printable[-(most // 2 - 1) :]}"
