"""`export`: a run of `train` as a version that serving loads."""

from pathlib import Path
from typing import Any

import click

from training.cli.options import A_PATH, SHARE, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("run", type=A_PATH, metavar="RUN")
@data_option("those that the run was trained with")
@click.option("--out", type=A_PATH, required=True, help="models/<name>/<version>, e.g. models/det/1.2.0")
@click.option(
    "--storage",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default="fp32",
    show_default=True,
    help="how weights are stored",
)
@click.option("--threshold-rule", help="in place of the model's own; `--threshold-rule ?` lists them")
@click.option(
    "--recall", type=SHARE, default=0.95, show_default=True, help="share of positive sub-tiles that screening must pass"
)
def command(
    *, run: Path, data: tuple[Path, ...], out: Path, storage: Any, threshold_rule: str | None, recall: float
) -> None:
    """Write RUN, a run of one of the paper's classes, to models/<name>/<version>: ONNX, card and parity sample.

    Serving takes a BC, Reg or Reg-NS under the name reg-ns, and a Det class under the name det. The threshold is chosen on the
    pictures that the run was validated on.
    """
    from training.export.run_export import export_run  # noqa: PLC0415

    export_run(run, data, out, storage=storage, rule=threshold_rule, recall=recall)
