"""`judge-views`: whether one view of a candidate says enough."""

from pathlib import Path

import click

from training.cli.options import A_PATH, SHARE, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("version")
@data_option("pictures to look at; their labels are not used")
@click.option("--models", type=A_PATH, default=Path("models"), show_default=True)
@click.option("--provider", default="CPUExecutionProvider", show_default=True, help="e.g. OpenVINO-bf16 or CPU-int8")
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, help="of each patient's pictures every n-th"
)
@click.option(
    "--keep",
    type=SHARE,
    default=0.999,
    show_default=True,
    help="share of the other patients' detections that count which is shown all views",
)
@click.option("--out", type=A_PATH, required=True, help="JSON file, for release-views")
def command(
    *, version: str, data: tuple[Path, ...], models: Path, provider: str, every: int, keep: float, out: Path
) -> None:
    """Verify the candidates of the cascade VERSION by one view and by eight.

    Writes the probability after one view below which a fast analysis asks for no other, which share of what counts reaches it, and
    which share of all candidates.
    """
    from serving.datasets.store import read_store  # noqa: PLC0415
    from training.evaluation.cascade_figures import version_folders  # noqa: PLC0415
    from training.evaluation.views import judge_views  # noqa: PLC0415

    judgement = judge_views(
        [read_store(path) for path in data],
        folders=version_folders(models, version),
        provider=provider,
        every=every,
        wanted=keep,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(judgement.model_dump_json(indent=1) + "\n", "utf-8")
    print(
        f"from {judgement.first_probability:.4f} on all views are shown: {judgement.kept.words} of {judgement.counted} that count, "
        f"{judgement.asked_again.words} of {judgement.candidates} candidates"
    )
    print(f"{out}. {judgement.research_use}")
