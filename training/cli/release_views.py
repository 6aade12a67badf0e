"""`release-views`: ship a verifier whose graph sees one view."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists


@click.command(cls=WithLists)
@click.argument("version")
@click.option("--judgement", type=A_PATH, required=True, help="JSON of judge-views")
@click.option("--new", required=True, metavar="VERSION", help="such as 2.1.0")
@click.option("--models", type=A_PATH, default=Path("models"), show_default=True, help="folder of <name>/<version>")
def command(*, version: str, judgement: Path, new: str, models: Path) -> None:
    """Write a new version of verifier VERSION, with its weights, whose graph sees a window once.

    Serving shows it eight views, which give what VERSION says; fast analyses show unlikely candidates one.
    """
    from serving.datasets.documents import read_document  # noqa: PLC0415
    from training.evaluation.views import ViewsJudgement  # noqa: PLC0415
    from training.export.views_release import release_views  # noqa: PLC0415

    card = release_views(models, read_document(judgement, ViewsJudgement), version=version, new=new)
    print(f"wrote {models / card.name / card.version}. {card.research_use}")
