"""`detect-fold`: what a cascade finds in the pictures of held-out patients, for `cross-validate`."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("models", type=A_PATH)
@click.option("--version", required=True, help="of the models")
@data_option("what the fold judges")
@click.option("--patient", multiple=True, required=True, help="to judge; repeatable, e.g. mitos/03")
@click.option(
    "--run-folder",
    type=A_PATH,
    multiple=True,
    required=True,
    help="run of the weights, which states whom it saw; repeatable",
)
@click.option("--fold", help="name of the fold; by default the patients")
@click.option("--provider", default="CPUExecutionProvider", show_default=True, help="execution provider")
@click.option("--out", type=A_PATH, required=True, help="JSON file for the detections")
def command(
    *,
    models: Path,
    version: str,
    data: tuple[Path, ...],
    patient: tuple[str, ...],
    run_folder: tuple[Path, ...],
    fold: str | None,
    provider: str,
    out: Path,
) -> None:
    """Detections of a cascade (MODELS: folder of <name>/<version>/card.json) in the pictures of held-out patients, for
    `cross-validate`.

    Scores whole pictures by the very code that serves, without the cards' calibration. Refuses patients that the weights saw.
    """
    from serving.scoring.onnx_detector import load_cascade  # noqa: PLC0415
    from training.data.store import read_store  # noqa: PLC0415
    from training.evaluation.cascade_figures import version_folders  # noqa: PLC0415
    from training.evaluation.detecting import detect_fold, patients_seen, without_calibration  # noqa: PLC0415

    seen: frozenset[str] = frozenset[str]().union(*(patients_seen(run) for run in run_folder))
    detector = load_cascade(version_folders(models, version), providers=[provider])
    found = detect_fold(
        without_calibration(detector),
        [read_store(path) for path in data],
        patient,
        fold=fold or "+".join(sorted(patient)),
        seen=seen,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(found.model_dump_json() + "\n", "utf-8")
    print(f"{out}: {len(found.pictures)} pictures. {found.research_use}")
