"""`evaluate`: a run, or a folder of exported models, on labelled pictures."""

from pathlib import Path
from typing import Any

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("run", type=A_PATH, metavar="RUN")
@data_option("what to judge on")
@click.option(
    "--rule",
    type=click.Choice(["centre", "any", "r_min"]),
    default="centre",
    show_default=True,
    help="which sub-tiles are positive",
)
@click.option("--out", type=A_PATH, required=True, help="folder for summary.json, report.html and figures")
def command(run: Path, data: tuple[Path, ...], rule: Any, out: Path) -> None:
    """Judge RUN on stores: rates, curves, mAP, F1, intervals, an HTML report.

    RUN is a run of `train` or a folder of <name>/<version>/card.json.
    Pictures of patients that a run learnt from or validated on are left out. Models that place boxes also score whole pictures,
    by the very code that serves.
    """
    from training.evaluation.evaluate import evaluate  # noqa: PLC0415

    evaluate(run, data, out, rule=rule)
