"""`release`: ship the cascade."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("cascade", type=A_PATH)
@data_option("labelled fields, on which rounding the weights is measured")
@click.option("--verifier", type=A_PATH, multiple=True, required=True, help="run of a verifier recipe; repeatable")
@click.option("--screener", type=A_PATH, help="run of a screening recipe, where it was judged with one")
@click.option("--evaluation", type=A_PATH, required=True, help="JSON file of leave-one-slide-out")
@click.option("--models", type=A_PATH, default=Path("models"), show_default=True)
@click.option("--version", required=True, help="semantic version, e.g. 1.0.0")
def command(
    *,
    cascade: Path,
    data: tuple[Path, ...],
    verifier: tuple[Path, ...],
    screener: Path | None,
    evaluation: Path,
    models: Path,
    version: str,
) -> None:
    """Export CASCADE, a run of a cascade recipe, with verifiers and a screener to models/<name>/<version>."""
    from training.data.combining import read_stores  # noqa: PLC0415
    from training.export.release import release  # noqa: PLC0415

    release(cascade, verifier, evaluation, read_stores(data), screener=screener, models=models, version=version)
