"""`judge-atypia`: the classifier of atypical figures, judged on cases and sets that it never saw."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("runs", type=A_PATH, nargs=-1, required=True, metavar="RUN...")
@data_option("crops of normal and atypical figures")
@click.option("--out", type=A_PATH, required=True, help="JSON file for the judgement")
def command(*, runs: tuple[Path, ...], data: tuple[Path, ...], out: Path) -> None:
    """Judge runs of an atypia recipe, each on the crops of the patients that it never saw.

    RUN is a finished run of `train atypia --test-patients ...`. Threshold and calibration of a fold come from the others. Writes
    balanced accuracy, sensitivity, specificity, AUC and calibration error, of all crops and of each store, with intervals.
    """
    from training.data.combined_stores import read_stores  # noqa: PLC0415
    from training.evaluation.atypia import judge_atypia  # noqa: PLC0415

    judgement = judge_atypia(runs, read_stores(data))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(judgement.model_dump_json(indent=1) + "\n", "utf-8")
    for s in judgement.sources:
        ba, auc, ece = s.balanced_accuracy, s.auc, s.calibration_error
        print(
            f"{s.source}: {s.crops} crops, {s.atypical} atypical; balanced accuracy {ba.value:.3f} [{ba.low:.3f}, {ba.high:.3f}], "
            f"AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}], calibration error {ece.value:.3f} [{ece.low:.3f}, {ece.high:.3f}]"
        )
    print(f"{out}. {judgement.research_use}")
