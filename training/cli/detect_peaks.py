"""`detect-peaks`: a light net as a detector of its own, for `judge-ensemble`."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("run", type=A_PATH)
@data_option("what the fold judges")
@click.option("--patient", multiple=True, required=True, help="to judge; repeatable, e.g. mitos/03")
@click.option("--fold", help="name of the fold; by default the patients")
@click.option("--out", type=A_PATH, required=True, help="JSON file for the detections")
def command(*, run: Path, data: tuple[Path, ...], patient: tuple[str, ...], fold: str | None, out: Path) -> None:
    """Write the peaks that RUN, a run of a triage recipe, finds in the pictures of held-out patients.

    The file is what `cross-validate` and `judge-ensemble` read. Refuses patients that RUN saw.
    """
    from serving.datasets.store import read_store  # noqa: PLC0415
    from training.evaluation.detect_fold import patients_seen  # noqa: PLC0415
    from training.evaluation.peaks_fold import detect_peaks  # noqa: PLC0415
    from training.recipes.runs import load_run  # noqa: PLC0415

    _, net = load_run(run)
    found = detect_peaks(
        net,
        [read_store(path) for path in data],
        patient,
        fold=fold or "+".join(sorted(patient)),
        seen=patients_seen(run),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(found.model_dump_json() + "\n", "utf-8")
    print(f"{out}: {len(found.pictures)} pictures. {found.research_use}")
