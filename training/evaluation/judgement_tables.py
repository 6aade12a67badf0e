"""A judgement as tables: Markdown for people, and one line a source for a model card."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from serving.core.probability import LogitAffine
from training.evaluation.drawing import format_number
from training.evaluation.judged_metrics import METRICS
from training.evaluation.judgement import ChosenRow, JudgedSource, Judgement
from training.evaluation.summary import Measured

_SOURCE_COLUMNS = (
    "source",
    "groups",
    "figures",
)
_AFTER_METRICS = ("count within 25 %", "ECE counted / all", "F1 moves by")
_GROUP_COLUMNS = (
    "group",
    "figures",
    "precision",
    "recall",
    "F1",
    "AP",
    "false per mm²",
    "look-alikes taken",
    "counted",
    "expected (95 % interval)",
)
_FOLD_COLUMNS = ("fold", "groups", "calibration", "threshold")


def markdown(judgement: Judgement) -> str:
    """The whole judgement as Markdown."""
    lines = [f"# {judgement.title}", "", judgement.research_use, ""]
    lines += [*summary_table(judgement), ""]
    lines += [
        f"Matched one-to-one within {judgement.matching_radius_um:g} µm. In brackets: 95 % intervals, groups drawn with "
        "replacement. ECE: expected calibration error of the detections that count, and of all that were given. "
        f"F1 moves by: the largest change where every threshold is up to {judgement.pooled.flatness.within:g} off.",
        "",
    ]
    for source in (judgement.pooled, *judgement.sources):
        lines += [f"## {source.name}", "", *_table(_GROUP_COLUMNS, list(_group_cells(source))), ""]
    rows = [[f.fold, ", ".join(f.groups), *_choice_cells(f)] for f in judgement.folds]
    rows.append(["release", "none: chosen on all", *_choice_cells(judgement.release)])
    lines += ["## What was chosen on the other groups", "", *_table(_FOLD_COLUMNS, rows), ""]
    lines += [f"- {limit}" for limit in judgement.limits]
    return "\n".join(lines) + "\n"


def summary_table(judgement: Judgement) -> list[str]:
    """Lines of a Markdown table: all sources together, and each."""
    columns = [*_SOURCE_COLUMNS, *(METRICS[name].title for name in _metrics(judgement)), *_AFTER_METRICS]
    return _table(columns, [_source_cells(s, _metrics(judgement)) for s in (judgement.pooled, *judgement.sources)])


def card_figures(judgement: Judgement) -> dict[str, float | str]:
    """The figures of pooled and of each source by name, as a card states them; what is undefined is left out."""
    figures: dict[str, float | str] = {}
    for source in (judgement.pooled, *judgement.sources):
        name = source.name.replace(" ", "_")
        for key, value in (
            *((metric, source.measured(metric).value) for metric in _metrics(judgement)),
            ("f1_low", source.f1.low),
            ("f1_high", source.f1.high),
            ("expected_calibration_error_counted", source.counted.expected_calibration_error),
            ("expected_calibration_error_all", source.candidates.expected_calibration_error),
            ("f1_moves_by", source.flatness.largest_change),
        ):
            if value is not None:
                figures[f"cross_validated_{name}_{key}"] = round(value, 4)
        figures[f"cross_validated_{name}_counts_within_25_percent"] = (
            f"{source.count_within_quarter} of {len(source.groups)}"
        )
    return figures


def candidate_figures(judgement: Judgement) -> dict[str, float | str]:
    """What the screening let through, pooled and of each source, by name; what is not known is left out."""
    figures: dict[str, float | str] = {}
    for source in (judgement.pooled, *judgement.sources):
        name = source.name.replace(" ", "_")
        for key, value in (
            ("recall_of_candidates", source.candidate_recall),
            ("share_of_sub_tiles_passed", source.sub_tiles_passed),
        ):
            if value is not None:
                figures[f"cross_validated_{name}_{key}"] = round(value, 4)
    return figures


def write_judgement(judgement: Judgement, out: Path) -> None:
    """Write `judgement.json`, `judgement.md` and `judgement.png` into a folder, which is made."""
    from training.evaluation.judgement_figure import draw_judgement  # noqa: PLC0415 - drawing takes a second to import

    out.mkdir(parents=True, exist_ok=True)
    (out / "judgement.json").write_text(judgement.model_dump_json(indent=1) + "\n", "utf-8")
    (out / "judgement.md").write_text(markdown(judgement), "utf-8")
    draw_judgement(judgement, out / "judgement.png")


def format_measured(figure: Measured, digits: int = 3) -> str:
    """A value with its interval, e.g. `.812 [.744, .861]`."""
    if figure.low is None or figure.high is None:
        return format_number(figure.value, digits)
    return f"{format_number(figure.value, digits)} [{format_number(figure.low, digits)}, {format_number(figure.high, digits)}]"


def _metrics(judgement: Judgement) -> list[str]:
    """The registered metrics that a judgement states: a file may be of a time when there were fewer."""
    return [name for name in METRICS if name in JudgedSource.model_fields or name in judgement.pooled.more]


def _source_cells(source: JudgedSource, metrics: Sequence[str]) -> list[str]:
    return [
        source.name,
        str(len(source.groups)),
        str(source.figures),
        *(format_measured(source.measured(name), METRICS[name].digits) for name in metrics),
        f"{source.count_within_quarter} of {len(source.groups)}",
        f"{format_number(source.counted.expected_calibration_error)} / {format_number(source.candidates.expected_calibration_error)}",
        format_number(source.flatness.largest_change),
    ]


def _group_cells(source: JudgedSource) -> Iterator[list[str]]:
    for g in source.groups:
        count = g.count
        yield [
            g.group,
            str(g.figures),
            format_number(g.precision),
            format_number(g.recall),
            format_number(g.f1),
            format_number(g.average_precision),
            f"{g.false_per_mm2:.2f}",
            f"{g.look_alikes_taken} of {g.look_alikes}" if g.look_alikes else "none marked",
            str(count.counted),
            f"{count.expected:.1f} ({count.expected_low:.0f} to {count.expected_high:.0f})",
        ]


def _choice_cells(row: ChosenRow) -> list[str]:
    stated = row.calibration_map
    how = row.calibration
    if isinstance(stated, LogitAffine):
        how += f" (slope {stated.slope:.3f}, intercept {stated.intercept:.3f})"
    return [how, f"{row.threshold:.3f} ({row.threshold_rule})"]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (columns, ["---"] * len(columns), *rows)]
    return [f"| {' | '.join(row)} |" for row in cells]
