"""`compare-modes`: what triage costs a cascade and saves it, on patients that the triage net never saw."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option, keep_option


@click.command(cls=WithLists)
@click.argument("runs", type=A_PATH, nargs=-1, required=True, metavar="RUN...")
@data_option("pictures in which every figure is labelled")
@click.option(
    "--judgement", type=A_PATH, required=True, help="JSON of judge-triage, of the same runs in the same order"
)
@click.option("--models", type=A_PATH, default=Path("models"), show_default=True)
@click.option("--version", required=True, help="of the cascade's models, such as 2.0.0")
@keep_option
@click.option("--provider", default="CPUExecutionProvider", show_default=True, help="e.g. OpenVINO-bf16 or CPU-int8")
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, help="of each patient's pictures every n-th"
)
@click.option(
    "--found", type=A_PATH, help="JSON of find-figures, of the same pictures: the exact mode is not run again"
)
@click.option("--out", type=A_PATH, required=True, help="JSON file")
def command(
    *,
    runs: tuple[Path, ...],
    data: tuple[Path, ...],
    judgement: Path,
    models: Path,
    version: str,
    keep: tuple[str, ...],
    provider: str,
    every: int,
    found: Path | None,
    out: Path,
) -> None:
    """Score pictures exactly and fast, each by the triage net of the RUN that never saw its patient.

    Writes which share of the figures that the exact mode finds the fast one finds too, F1 of both and their processor time.
    """
    from serving.datasets.documents import read_document  # noqa: PLC0415
    from serving.datasets.store import read_store  # noqa: PLC0415
    from training.evaluation.cascade_figures import version_folders  # noqa: PLC0415
    from training.evaluation.fast_mode import compare_modes  # noqa: PLC0415
    from training.evaluation.found_figures import FoundFigures  # noqa: PLC0415
    from training.evaluation.triage import TriageJudgement  # noqa: PLC0415
    from training.export.parts import find_kept_versions  # noqa: PLC0415

    comparison = compare_modes(
        runs,
        read_document(judgement, TriageJudgement),
        [read_store(path) for path in data],
        folders=version_folders(models, version) | find_kept_versions(keep, models),
        provider=provider,
        every=every,
        found=None if found is None else read_document(found, FoundFigures),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(comparison.model_dump_json(indent=1) + "\n", "utf-8")
    for s in comparison.sources:
        print(
            f"{s.source}: exact finds {s.found_exact} of {s.figures} figures; fast keeps {s.kept.words} of them; F1 {s.f1_exact:.3f} and "
            f"{s.f1_fast:.3f}, change {s.difference.words}; processor s {s.processor_s_exact:.0f} and {s.processor_s_fast:.0f}"
        )
    print(f"{out}. {comparison.research_use}")
