"""`detect-fold`: what a cascade finds in the pictures of held-out patients, for `cross-validate`."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option, keep_option, runs_options


@click.command(cls=WithLists)
@click.argument("models", type=A_PATH, required=False)
@click.option("--version", help="of MODELS")
@keep_option
@runs_options
@click.option(
    "--screening",
    type=float,
    multiple=True,
    help="Reg-NS score from which Det looks at a sub-tile, in place of the card's; several are tried for the time of the lowest, "
    "and each has a file of its own, named behind @",
)
@data_option("what the fold judges")
@click.option("--patient", multiple=True, help="to judge; repeatable, e.g. mitos/03")
@click.option(
    "--candidates",
    type=A_PATH,
    help="JSON file of an earlier detect-fold: its candidates are kept, and the verifier alone is asked",
)
@click.option(
    "--run-folder",
    type=A_PATH,
    multiple=True,
    help="run of the weights of MODELS, which states whom it saw; repeatable",
)
@click.option("--fold", help="name of the fold; by default the patients")
@click.option("--provider", default="CPUExecutionProvider", show_default=True, help="execution provider")
@click.option("--out", type=A_PATH, required=True, help="JSON file for the detections")
def command(
    *,
    models: Path | None,
    version: str | None,
    keep: tuple[str, ...],
    regns: Path | None,
    det: Path | None,
    verifier: tuple[Path, ...],
    screening: tuple[float, ...],
    data: tuple[Path, ...],
    patient: tuple[str, ...],
    candidates: Path | None,
    run_folder: tuple[Path, ...],
    fold: str | None,
    provider: str,
    out: Path,
) -> None:
    """Detections of a cascade in the pictures of held-out patients, for `cross-validate`.

    The cascade is that of MODELS (folder of <name>/<version>/card.json) with the models that are given as runs in place of its
    own, or of runs alone. Scores whole pictures by the very code that serves, without the cards' calibration. Refuses patients that
    the weights saw.

    With --candidates another verifier looks at what was found before: Reg-NS and Det, the patients and the screening score are those
    of the file.
    """
    from serving.datasets.documents import read_document  # noqa: PLC0415
    from serving.datasets.store import read_store  # noqa: PLC0415
    from training.evaluation.detect_fold import detect_fold, patients_seen, without_calibration  # noqa: PLC0415
    from training.evaluation.fold_detections import FoldDetections  # noqa: PLC0415
    from training.evaluation.verify_fold import verify_fold  # noqa: PLC0415
    from training.export.draft_models import draft_cascade  # noqa: PLC0415
    from training.export.parts import fold_parts  # noqa: PLC0415

    if (candidates is None) == (not patient):
        raise ValueError("give either whom to judge (--patient) or what was found before (--candidates)")
    parts = fold_parts(regns, det, verifier, models=models, version=version, keep=keep)
    if candidates is not None:
        if not verifier:
            raise ValueError("--candidates asks a verifier: give its run (--verifier)")
        earlier = read_document(candidates, FoldDetections)
        asked = verify_fold(
            without_calibration(draft_cascade(parts, screening=earlier.screening or 0.0, provider=provider)),
            earlier,
            [read_store(path) for path in data],
            seen=frozenset[str]().union(*(patients_seen(run) for run in verifier)),
            made_by={"verifier": parts.made_by()["verifier"]},
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(asked.model_dump_json() + "\n", "utf-8")
        print(f"{out}: {len(asked.pictures)} pictures. {asked.research_use}")
        return
    if parts.kept and not run_folder:
        raise ValueError(f"give --run-folder: the {' and '.join(parts.kept)} of {models} do not state whom they saw")
    runs = [*run_folder, *(run for runs in parts.runs.values() for run in runs)]
    seen: frozenset[str] = frozenset[str]().union(*(patients_seen(run) for run in runs))
    lowest = min(screening) if screening else None
    found = detect_fold(
        without_calibration(draft_cascade(parts, screening=lowest, provider=provider)),
        [read_store(path) for path in data],
        patient,
        fold=fold or "+".join(sorted(patient)),
        seen=seen,
        made_by=parts.made_by(),
        screenings=screening,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    for one in found:
        path = out if len(found) == 1 else out.with_stem(f"{out.stem}@{one.screening:g}")
        path.write_text(one.model_dump_json() + "\n", "utf-8")
        print(f"{path}: {len(one.pictures)} pictures. {one.research_use}")
