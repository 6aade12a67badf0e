"""`release-atypia`: ship a judged classifier of atypical figures."""

from pathlib import Path

import click

from training.cli.options import A_PATH


@click.command()
@click.argument("run", type=A_PATH)
@click.option("--judgement", type=A_PATH, required=True, help="what judge-atypia wrote of runs of the same recipe")
@click.option("--version", required=True, metavar="VERSION", help="such as 2.1.0")
@click.option("--out", type=A_PATH, default=Path("models"), show_default=True, help="folder of <name>/<version>")
def command(*, run: Path, judgement: Path, version: str, out: Path) -> None:
    """Write a version of atypia: ONNX, checked against torch, with a card and a parity sample.

    RUN is a finished run of `train atypia` on all that was judged. The card derives from it (data, patients, licences, recipe, seed,
    code) and from the judgement: threshold, calibration, figures with intervals and limits.
    """
    from serving.datasets.documents import read_document  # noqa: PLC0415
    from training.evaluation.atypia import AtypiaJudgement  # noqa: PLC0415
    from training.export.atypia_release import release_atypia  # noqa: PLC0415

    release_atypia(run, read_document(judgement, AtypiaJudgement), version=version, models=out)
