"""What the technical appendix says, in sections of names and values; HTML and PDF only set it."""

from collections import Counter
from dataclasses import dataclass

from serving.core.counts import (
    AtypicalCount,
    Bound,
    Counts,
    Hotspot,
    Interval,
    ReadingAgreement,
    ReviewedCounts,
    ReviewedWindow,
    ReviewRule,
)
from serving.core.report import Report
from serving.core.report_parts import Quality
from serving.exports.figures import list_regions
from serving.exports.map_margins import component_line
from serving.exports.sheet import describe_signature

_BOUNDS: dict[Bound, str] = {
    "tissue": "tissue",
    "roi": "inside the region of interest",
    "within": "inside the regions to count in",
    "exclude": "outside the regions to leave out",
    "regions model": "in the regions of the regions model",
    "quality mask": "outside what quality control masks",
}
"""What limits a count, by its name in reports."""
_RULES: dict[ReviewRule, str] = {
    "one reviewer": "by one reviewer",
    "majority": "by what most of them say",
    "consensus": "by the consensus of two readings",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and a line a fact."""

    title: str
    rows: list[tuple[str, str]]


def sections(report: Report) -> list[Section]:
    """Counts first, then hotspots, then what it was made of and with."""
    parts = [
        Section("Counts", _counts(report.counts, "Detected mitotic figures")),
        Section("Hotspots", _hotspots(report)),
    ]
    if regions := _regions(report):
        parts.insert(1, Section("Regions", regions))
    if report.review is not None:
        parts.append(Section("After review", _review(report.review)))
    for number, reading in enumerate(report.readings, 1):
        rows = [("Finished", reading.finished_at), *_review(reading.review)]
        parts.append(Section(f"Reviewer {number}: {reading.reviewer}", rows))
    if report.agreement is not None:
        parts.append(Section("Agreement of the readers", _agreement(report.agreement)))
    if report.signatures:
        signed = [(one.at, f"{describe_signature(one)}; SHA-256 {one.sha256}") for one in report.signatures]
        parts.append(Section("Signatures", signed))
    if report.quality is not None:
        parts.append(Section("Quality control", _quality(report, report.quality)))
    if report.warnings:
        parts.append(Section("Warnings", [("", warning) for warning in report.warnings]))
    return [*parts, Section("Provenance", _provenance(report))]


def _counts(counts: Counts, title: str) -> list[tuple[str, str]]:
    rows = [(title, str(counts.mitotic_figures))]
    if counts.per_mm2 is not None:
        bounds = ", ".join(_BOUNDS[bound] for bound in counts.bounded_by)
        rows.append(("Per mm²", f"{counts.per_mm2:.2f} of {counts.tissue_area_mm2:.2f} mm²: {bounds}"))
    if counts.interval is not None:
        rows.append(("95 % interval between tiles, exploratory", _interval(counts.interval)))
    if counts.atypical is not None:
        rows.append(("Of them atypical", _atypical(counts.atypical)))
    if counts.distribution is not None:
        d = counts.distribution
        low, first, median, third, high = d.quantiles
        spread = f"mean {d.mean:.1f}, median {median:g}, quartiles {first:g} and {third:g}, {low:g} to {high:g}"
        rows.append((f"In {d.windows} windows of the hotspot's area", spread))
    if counts.expected is not None:
        expected = counts.expected
        rows.append((f"Expected {expected.words}", f"{expected.mitotic_figures:.1f} ({expected.note})"))
        if expected.interval is not None:
            rows.append(("Its interval", _interval(expected.interval)))
    return rows


def _atypical(count: AtypicalCount) -> str:
    share = "" if count.share is None else f" ({count.share:.0%})"
    return f"{count.figures} of {count.of}{share}"


def _regions(report: Report) -> list[tuple[str, str]]:
    """What is counted in and what is left out, by the names that the regions came with."""
    rows = [
        (title, "; ".join(f"{name} ({number})" for name, number in Counter(one.name for one in outlines).items()))
        for (_, outlines), title in zip(list_regions(report), ("Counted in", "Left out"), strict=False)
        if outlines
    ]
    if rows and report.settings.counting is not None:
        rows.append(("SHA-256 of the regions", report.settings.counting.regions_sha256 or ""))
    return rows


def _interval(interval: Interval) -> str:
    return (
        f"{interval.low:.1f} to {interval.high:.1f} ({interval.per_mm2_low:.2f} to {interval.per_mm2_high:.2f} per mm²)"
    )


def _hotspots(report: Report) -> list[tuple[str, str]]:
    rows = [(f"{i}. {_shape(h)}", _window(h)) for i, h in enumerate(report.hotspots, 1)] or [("", "none")]
    rows += [(f"Field {i}, {h.shape}", _window(h)) for i, h in enumerate(report.fields, 1)]
    if report.counts.component is not None:
        rows.append((report.counts.component.title, component_line(report.counts.component)))
        rows.append(("Source of the cut-offs", report.counts.component.source))
    return rows


def _shape(window: Hotspot) -> str:
    if window.parts is None:
        return window.shape
    return f"{len(window.parts)} connected fields" + ("" if window.exact else ", of a search that was cut short")


def _window(window: Hotspot) -> str:
    """What is in a window, for the model and, where it was asked for, after review."""
    line = (
        f"{window.mitotic_figures} in {window.area_mm2:.2f} mm² ({window.per_mm2:.2f} per mm²), "
        f"at x {window.x:.0f}, y {window.y:.0f} px"
    )
    if window.atypical is not None:
        line += f", {_atypical(window.atypical)} atypical"
    if (reviewed := window.reviewed) is None:
        return line
    after = _after(reviewed)
    if window.readings:
        after += "; " + "; ".join(f"reviewer {number} {_after(own)}" for number, own in enumerate(window.readings, 1))
    return f"model {line}; after review {after}, {reviewed.judged} of the model's {window.mitotic_figures} judged"


def _after(reviewed: ReviewedWindow) -> str:
    said = f"{reviewed.mitotic_figures} ({reviewed.per_mm2:.2f} per mm²)"
    return said if reviewed.atypical is None else f"{said}, {_atypical(reviewed.atypical)} atypical"


def _agreement(agreement: ReadingAgreement) -> list[tuple[str, str]]:
    definition = "(p_o - p_e) / (1 - p_e), Cohen, Educational and Psychological Measurement 1960;20:37-46"
    kappa = "not defined" if agreement.kappa is None else f"{agreement.kappa:.3f}"
    return [
        ("Judged by both", f"{agreement.judged_by_both} objects, the same on {agreement.agreed}"),
        ("Cohen's kappa of these", f"{kappa}; {definition}"),
        ("Disagreements", f"{agreement.disagreements}, {agreement.undecided} of them without a consensus"),
    ]


def _review(review: ReviewedCounts) -> list[tuple[str, str]]:
    """The same figures after review, and whose review it is."""
    names = ", ".join(review.reviewers) or "nobody yet"
    rule = _RULES[review.rule]
    judged = (
        f"{review.accepted} accepted, {review.rejected} rejected, {review.unjudged} not judged; {review.added} added"
    )
    rows = [
        ("Reviewers", f"{names}; {rule}; record up to entry {review.last_entry}"),
        ("The model's figures", judged),
        *_counts(review.counts, "Mitotic figures after review"),
    ]
    rows += [(f"Hotspot {i} of the figures after review", _window(h)) for i, h in enumerate(review.hotspots, 1)]
    if review.counts.component is not None:
        rows.append((review.counts.component.title, component_line(review.counts.component)))
    return rows


def _quality(report: Report, quality: Quality) -> list[tuple[str, str]]:
    left_out = "left out of all counts" if report.settings.qc == "exclude" else "counted all the same"
    rows = [("Masked tissue", f"{quality.masked_tissue_mm2:.3f} mm², {left_out}")]
    rows += [
        (
            area.reason,
            f"{area.area_mm2:.3f} mm², of it {area.tissue_mm2:.3f} mm² tissue; {quality.methods[area.reason]}",
        )
        for area in quality.areas
        if area.reason in quality.methods
    ]
    figures = f"{quality.figures_masked} counted in masked areas, {quality.figures_dropped} left out"
    return [
        *rows,
        ("Mitotic figures", figures),
        ("Focus not judged", f"{quality.unjudged_focus_mm2:.3f} mm² of tissue"),
    ]


def _provenance(report: Report) -> list[tuple[str, str]]:
    slide, made = report.slide, report.software
    rows = [
        ("Slide", f"{slide.name}, SHA-256 {slide.sha256}"),
        ("Size and resolution", f"{slide.width} x {slide.height} px, {slide.mpp:g} µm/px ({slide.mpp_source})"),
        ("Analysis", report.analysis_id),
    ]
    for model in report.used_models:
        thresholds = ", ".join(f"{name} {value:g}" for name, value in model.thresholds.items()) or "no threshold"
        rows.append((f"{model.name} {model.version}", f"{thresholds}; SHA-256 {model.sha256}"))
    tissue = report.tissue
    rows += [
        ("Tissue", f"{tissue.tiles_scored} of {tissue.tiles_total} tiles scored; {tissue.method}"),
        *([] if report.triage_words is None else [("Cascade", report.triage_words)]),
        *([] if report.settings.colours == "stored" else [("Colours", "sRGB by the slide's ICC profile")]),
        ("Software", f"mitoserve {made.version}, {made.execution_provider}, ONNX Runtime {made.onnxruntime}"),
        ("Started", made.started_at),
    ]
    return rows
