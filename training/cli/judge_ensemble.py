"""`judge-ensemble`: what several detectors give together, on detections of left-out groups."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.option(
    "--detector",
    "detectors",
    multiple=True,
    required=True,
    metavar="NAME=FOLDER",
    help="a detector's name and the folder of its folds' JSON files; two of them or more",
)
@data_option("what the folds judge")
@click.option("--rule", default="flat-f1", show_default=True, help="how a threshold is chosen")
@click.option("--out", type=A_PATH, required=True, help="JSON file for the judgement")
def command(*, detectors: tuple[str, ...], data: tuple[Path, ...], rule: str, out: Path) -> None:
    """Judge an ensemble: F1 and average precision of each detector alone and of all together, with intervals over patients.

    Calibration comes from the other folds of each detector; weights, method and threshold from the other patients. Refuses detections
    by weights that saw a patient whom they are to judge.
    """
    from serving.datasets.store import read_store  # noqa: PLC0415
    from training.evaluation.fused_folds import judge_fused_folds  # noqa: PLC0415

    named = [_read_detector(stated) for stated in detectors]
    judgement = judge_fused_folds(dict(named), [read_store(path) for path in data], rule=rule)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(judgement.model_dump_json(indent=1) + "\n", "utf-8")
    weights = ", ".join(f"{name} {weight:g}" for name, weight in judgement.weights.items())
    print(f"of all pictures: {judgement.method}, {weights}")
    for source in judgement.sources:
        print(f"{source.source}: {source.pictures} pictures, {source.figures} figures")
        for one in source.detectors:
            gain = "" if one.f1_gain is None else f"; the ensemble has {one.f1_gain.words} more F1"
            print(f"  {one.name}: F1 {one.f1.words}, average precision {one.average_precision.words}{gain}")
    print(f"{out}. {judgement.research_use}")


def _read_detector(stated: str) -> tuple[str, list[Path]]:
    """NAME=FOLDER as a name and the files of the folder; raises `ValueError` if it is none, or the folder holds none."""
    name, _, folder = stated.partition("=")
    if not name or not folder:
        raise ValueError(f"--detector is {stated}; give a name and a folder, e.g. cascade=folds")
    files = sorted(Path(folder).glob("*.json"))
    if not files:
        raise ValueError(f"{folder} holds no JSON file; write some with detect-fold or detect-peaks")
    return name, files
