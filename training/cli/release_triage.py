"""`release-triage`: ship a judged triage net."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists


@click.command(cls=WithLists)
@click.argument("run", type=A_PATH, metavar="RUN")
@click.option("--version", required=True, help="such as 2.1.0")
@click.option("--judgement", type=A_PATH, required=True, help="JSON of judge-triage")
@click.option("--modes", type=A_PATH, help="JSON of compare-modes, whose figures go into the card too")
@click.option(
    "--data",
    type=A_PATH,
    multiple=True,
    help="stores on whose pictures rounding is measured; by default generated tissue",
)
@click.option("--out", type=A_PATH, default=Path("models"), show_default=True, help="folder of <name>/<version>")
def command(*, run: Path, version: str, judgement: Path, modes: Path | None, data: tuple[Path, ...], out: Path) -> None:
    """Write triage/VERSION of RUN, a run of `train triage` on all patients: ONNX, checked against torch, with card and parity sample.

    The threshold and the figures of the card are those of the judgement, of nets that were trained without the patients that
    they were judged on.
    """
    from serving.datasets.documents import read_document  # noqa: PLC0415
    from training.data.combined_stores import read_stores  # noqa: PLC0415
    from training.evaluation.mode_comparison import ModeComparison  # noqa: PLC0415
    from training.evaluation.triage import TriageJudgement  # noqa: PLC0415
    from training.export.triage_release import release_triage  # noqa: PLC0415

    release_triage(
        run,
        read_document(judgement, TriageJudgement),
        version=version,
        models=out,
        comparison=None if modes is None else read_document(modes, ModeComparison),
        dataset=read_stores(data) if data else None,
    )
