"""What the printable reports say, in sections of names and values; HTML and PDF only set it."""

from dataclasses import dataclass

from serving.core.report import Counts, Hotspot, Interval, Quality, Report, ReviewedCounts
from serving.exports.map_margins import component_line


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
    if report.review is not None:
        parts.append(Section("After review", _review(report.review)))
    if report.quality is not None:
        parts.append(Section("Quality control", _quality(report, report.quality)))
    if report.warnings:
        parts.append(Section("Warnings", [("", warning) for warning in report.warnings]))
    return [*parts, Section("Provenance", _provenance(report))]


def _counts(counts: Counts, title: str) -> list[tuple[str, str]]:
    rows = [(title, str(counts.mitotic_figures))]
    if counts.per_mm2 is not None:
        rows.append(("Per mm² of tissue", f"{counts.per_mm2:.2f} of {counts.tissue_area_mm2:.2f} mm²"))
    if counts.interval is not None:
        rows.append(("95 % interval between tiles, exploratory", _interval(counts.interval)))
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


def _interval(interval: Interval) -> str:
    return (
        f"{interval.low:.1f} to {interval.high:.1f} ({interval.per_mm2_low:.2f} to {interval.per_mm2_high:.2f} per mm²)"
    )


def _hotspots(report: Report) -> list[tuple[str, str]]:
    rows = [(f"{i}. {h.shape}", _window(h)) for i, h in enumerate(report.hotspots, 1)] or [("", "none")]
    rows += [(f"Field {i}, {h.shape}", _window(h)) for i, h in enumerate(report.fields, 1)]
    if report.counts.component is not None:
        rows.append((report.counts.component.title, component_line(report.counts.component)))
        rows.append(("Source of the cut-offs", report.counts.component.source))
    return rows


def _window(window: Hotspot) -> str:
    """What is in a window, for the model and, where it was asked for, after review."""
    line = (
        f"{window.mitotic_figures} in {window.area_mm2:.2f} mm² ({window.per_mm2:.2f} per mm²), "
        f"at x {window.x:.0f}, y {window.y:.0f} px"
    )
    if (reviewed := window.reviewed) is None:
        return line
    return (
        f"model {line}; after review {reviewed.mitotic_figures} ({reviewed.per_mm2:.2f} per mm²), "
        f"{reviewed.judged} of the model's {window.mitotic_figures} judged"
    )


def _review(review: ReviewedCounts) -> list[tuple[str, str]]:
    """The same figures after review, and whose review it is."""
    names = ", ".join(review.reviewers) or "nobody yet"
    rule = "by what most of them say" if review.rule == "majority" else "by one reviewer"
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
    for model in report.models:
        thresholds = ", ".join(f"{name} {value:g}" for name, value in model.thresholds.items()) or "no threshold"
        rows.append((f"{model.name} {model.version}", f"{thresholds}; SHA-256 {model.sha256}"))
    tissue = report.tissue
    rows += [
        ("Tissue", f"{tissue.tiles_scored} of {tissue.tiles_total} tiles scored; {tissue.method}"),
        ("Software", f"mitoserve {made.version}, {made.execution_provider}, ONNX Runtime {made.onnxruntime}"),
        ("Started", made.started_at),
    ]
    return rows
