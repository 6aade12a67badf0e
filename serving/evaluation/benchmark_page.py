"""A benchmark as tables: one page that prints, and CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from serving.evaluation.benchmark import Benchmark, EstimateWithInterval, GroupFigures
from serving.evaluation.measured_picture import MeasuredPicture
from serving.exports.appendix_html import STYLE

_WIDE = "main{max-width:none}th,td{width:auto;font-variant-numeric:tabular-nums}"
_TITLES = {"all": "All pictures", "tumour": "By tumour", "scanner": "By scanner", "case": "By case"}
_HEADS = (
    "group", "entry", "pictures", "cases", "figures", "counted", "precision", "recall", "F1", "average precision",
    "count difference", "hotspot overlap", "s/mm2",
)  # fmt: skip

_PICTURE_HEADS = (
    "entry", "picture", "case", "tumour", "scanner", "figures", "counted", "true_positives", "hotspot_overlap", "seconds",
    "tissue_mm2",
)  # fmt: skip


def benchmark_page(found: Benchmark) -> bytes:
    """HTML without scripts and without anything from elsewhere."""
    title = f"Benchmark on {escape(found.data_set)}"
    use = f'<p class="use">{escape(found.research_use)}</p>'
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}{_WIDE}</style></head>'
        f"<body><main><h1>{title}</h1>{use}{''.join(_sections(found))}{use}</main></body></html>\n"
    )
    return page.encode()


def benchmark_csv(found: Benchmark) -> str:
    """A row for each entry and group; an empty cell is undefined."""
    rows = [_flat(group) for group in found.groups]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else ["entry"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def pictures_csv(judged: Iterable[tuple[str, Sequence[MeasuredPicture]]]) -> str:
    """A row for each entry and picture."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_PICTURE_HEADS)
    for entry, pictures in judged:
        for j in pictures:
            about = j.picture.attributes
            writer.writerow(
                [
                    entry,
                    j.picture.id,
                    j.picture.patient,
                    about.get("tumour", ""),
                    about.get("scanner", ""),
                    j.true,
                    j.counted,
                ]
                + [j.rates.true_positives]
                + ["" if v is None else round(v, 4) for v in (j.hotspot_overlap, j.seconds, j.tissue_mm2)]
            )
    return buffer.getvalue()


def _sections(found: Benchmark) -> Iterator[str]:
    yield (
        f"<p>{found.pictures} labelled pictures, format {escape(found.format)}, licence: {escape(found.licence)}. Detections and "
        f"figures match one-to-one within {found.match_radius_um:g} um. Releases count by their cards' thresholds; nothing was chosen "
        f"on these pictures. Intervals of 95 % are by bootstrap over cases. Hotspots have {found.hotspot_mm2:g} mm2.</p>"
    )
    yield _table(
        "Entries",
        ("entry", "models", "threshold", "provider"),
        [
            [e.name, ", ".join(e.models) or "detections of others", _short(e.threshold), e.provider or "-"]
            for e in found.entries
        ],
    )
    for by, title in _TITLES.items():
        rows = [_row(group) for group in found.groups if group.by == by]
        yield _table(title, _HEADS, sorted(rows, key=lambda row: row[0]))
    if found.differences:
        rows = [[d.group, f"{d.second} less {d.first}", str(d.pictures), _interval(d.f1)] for d in found.differences]
        yield _table("Differences of F1 on the same pictures", ("group", "entries", "pictures", "difference"), rows)
    if found.failures:
        rows = [[f.picture, f.entry, f.reason] for f in found.failures]
        yield _table("Pictures without a result", ("picture", "entry", "reason"), rows)
    if found.notes:
        yield (
            "<section><h2>Of the labels</h2><ul>"
            + "".join(f"<li>{escape(n)}</li>" for n in found.notes)
            + "</ul></section>"
        )


def _row(group: GroupFigures) -> list[str]:
    return [
        group.group,
        group.entry,
        *map(str, (group.pictures, group.cases, group.figures, group.counted)),
        _short(group.precision),
        _short(group.recall),
        _interval(group.f1),
        _interval(group.average_precision),
        f"{group.mean_count_difference:+.2f}",
        "-" if group.hotspot_overlap is None else f"{group.hotspot_overlap:.2f} of {group.hotspots}",
        _short(group.seconds_per_mm2),
    ]


def _flat(group: GroupFigures) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, value in group.model_dump().items():
        if isinstance(value, dict):
            row |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
        else:
            row[name] = value
    return {name: "" if value is None else value for name, value in row.items()}


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f"<section><h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></section>"


def _interval(found: EstimateWithInterval) -> str:
    if found.value is None:
        return "-"
    return f"{found.value:.3f}" + (
        "" if found.low is None or found.high is None else f" ({found.low:.3f} to {found.high:.3f})"
    )


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
