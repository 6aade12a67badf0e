"""`find-figures`: which labelled figures a released cascade finds."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option, keep_option


@click.command(cls=WithLists)
@click.argument("version")
@data_option("pictures in which every figure is labelled")
@click.option("--models", type=A_PATH, default=Path("models"), show_default=True)
@keep_option
@click.option("--provider", default="CPUExecutionProvider", show_default=True, help="e.g. OpenVINO-bf16 or CPU-int8")
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, help="of each patient's pictures every n-th"
)
@click.option("--out", type=A_PATH, required=True, help="JSON file, for judge-triage --found")
def command(
    *, version: str, data: tuple[Path, ...], models: Path, keep: tuple[str, ...], provider: str, every: int, out: Path
) -> None:
    """Score labelled pictures exactly with the released models of VERSION, and write which of their figures count.

    `judge-triage --found` chooses the threshold of a light net by these: it has to keep what the cascade would find.
    """
    from serving.datasets.store import read_store  # noqa: PLC0415
    from training.evaluation.cascade_figures import version_folders  # noqa: PLC0415
    from training.evaluation.found_figures import find_figures  # noqa: PLC0415
    from training.export.parts import find_kept_versions  # noqa: PLC0415

    stores = [read_store(path) for path in data]
    found = find_figures(
        stores,
        folders=version_folders(models, version) | find_kept_versions(keep, models),
        provider=provider,
        every=every,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(found.model_dump_json(indent=1) + "\n", "utf-8")
    hits, figures = sum(len(p.found) for p in found.pictures), sum(p.figures for p in found.pictures)
    print(f"{', '.join(found.models)} find {hits} of {figures} figures in {len(found.pictures)} pictures; {found.how}")
    print(f"{out}. {found.research_use}")
