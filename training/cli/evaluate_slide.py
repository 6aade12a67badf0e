"""`evaluate-slide`: hold a served report against the truth."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("evaluate-slide", help="compare a served report with the truth")
    parser.add_argument("report", type=Path, help="report.json")
    parser.add_argument("truth", type=Path, help="JSON with mitotic_figures: [[x1, y1, x2, y2], ...], level-0 px")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.evaluation.as_served import print_counts, print_rates, read_with_truth, slide_rates  # noqa: PLC0415

    report, boxes = read_with_truth(args.report, args.truth)
    print_rates(slide_rates(report, boxes))
    print_counts(report, boxes)
