"""`evaluate-slide`: hold a served report against the truth."""

from pathlib import Path

import click

from training.cli.options import A_PATH


@click.command()
@click.argument("report", type=A_PATH)
@click.argument("truth", type=A_PATH)
def command(report: Path, truth: Path) -> None:
    """Compare a served REPORT (report.json) with TRUTH: JSON with mitotic_figures: [[x1, y1, x2, y2], ...], level-0 px."""
    from training.evaluation.served_analysis import print_counts, print_rates, read_with_truth, slide_rates  # noqa: PLC0415

    served, boxes = read_with_truth(report, truth)
    print_rates(slide_rates(served, boxes))
    print_counts(served, boxes)
