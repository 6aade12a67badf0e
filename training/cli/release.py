"""`release`: ship a judged cascade."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, runs_options


@click.command(cls=WithLists)
@click.argument("version")
@runs_options
@click.option("--keep", multiple=True, metavar="NAME=VERSION", help="a version that stays: reg-ns=1.3.0; repeatable")
@click.option("--base", type=A_PATH, default=Path("models"), show_default=True, help="folder of the versions that stay")
@click.option("--judgement", type=A_PATH, required=True, help="judgement.json of cross-validate")
@click.option("--screening", type=float, help="Reg-NS score from which Det looks at a sub-tile; by default the folds'")
@click.option(
    "--limit", multiple=True, help="a sentence of what the judgement does not show, for every card; repeatable"
)
@click.option(
    "--data",
    type=A_PATH,
    multiple=True,
    help="stores on whose pictures rounding is measured; by default generated tissue",
)
@click.option("--out", type=A_PATH, default=Path("models"), show_default=True, help="folder of <name>/<version>")
def command(
    *,
    version: str,
    regns: Path | None,
    det: Path | None,
    verifier: tuple[Path, ...],
    keep: tuple[str, ...],
    base: Path,
    judgement: Path,
    screening: float | None,
    limit: tuple[str, ...],
    data: tuple[Path, ...],
    out: Path,
) -> None:
    """Write VERSION, such as 1.0.0, of each model of a cascade: ONNX, checked against torch, with cards and parity samples.

    Cards derive from the runs (data, patients, counts, licences, recipe, seed, code) and from the judgement of cascades like this
    one, which were trained without the groups that they were judged on: threshold, calibration, count rule, figures and limits. A
    judgement whose folds state another recipe, other kept weights or another screening score is refused.
    """
    from serving.datasets.documents import read_document  # noqa: PLC0415
    from training.data.combined_stores import read_stores  # noqa: PLC0415
    from training.evaluation.judgement import Judgement  # noqa: PLC0415
    from training.export.parts import read_parts  # noqa: PLC0415
    from training.export.release import release  # noqa: PLC0415

    release(
        read_parts(regns, det, verifier, keep, base),
        read_document(judgement, Judgement),
        version=version,
        models=out,
        screening=screening,
        limits=limit,
        dataset=read_stores(data) if data else None,
    )
