"""`leave-one-slide-out`: judge the cascade on patients that it never saw."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("cascades", type=A_PATH)
@data_option("labelled fields")
@click.option("--verifier", type=A_PATH, multiple=True, help="the same of a verifier recipe; repeatable")
@click.option(
    "--screening",
    type=float,
    multiple=True,
    required=True,
    help="Reg-NS scores to try as the one from which Det looks at a sub-tile",
)
@click.option(
    "--screener",
    type=A_PATH,
    help="the same of a screening recipe; without it the cascade's own Reg-NS screens, sub-tile by sub-tile",
)
@click.option(
    "--provider",
    default="CPUExecutionProvider",
    show_default=True,
    help="execution provider to judge them on, e.g. OpenVINO-bf16",
)
@click.option("--out", type=A_PATH, required=True, help="JSON file for the figures")
def command(
    *,
    cascades: Path,
    data: tuple[Path, ...],
    verifier: tuple[Path, ...],
    screening: tuple[float, ...],
    screener: Path | None,
    provider: str,
    out: Path,
) -> None:
    """Judge CASCADES, a run of a cascade recipe or a folder of runs without-<patient>, on patients that they never saw."""
    from training.data.combined_stores import read_stores  # noqa: PLC0415
    from training.evaluation.leave_one_slide_out import leave_one_slide_out  # noqa: PLC0415

    dataset = read_stores(data)
    leave_one_slide_out(cascades, verifier, dataset, out, screening=screening, screener=screener, provider=provider)
