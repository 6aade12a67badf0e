"""`held-out-crops`: the recall of a cascade on figures of patients that it never saw."""

from pathlib import Path

import click

from training.cli.options import A_PATH, SHARE, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("cascade", type=A_PATH)
@data_option("crops, of patients that the runs saw and of others")
@click.option("--verifier", type=A_PATH, multiple=True, help="run of a verifier recipe")
@click.option("--screener", type=A_PATH, help="run of a screening recipe")
@click.option("--screening", type=float, required=True, help="Reg-NS score from which Det looks")
@click.option("--threshold", type=float, required=True, help="probability from which a detection counts")
@click.option("--figures", type=SHARE, default=0.5, show_default=True, help="share of the crops that show their figure")
def command(
    *,
    cascade: Path,
    data: tuple[Path, ...],
    verifier: tuple[Path, ...],
    screener: Path | None,
    screening: float,
    threshold: float,
    figures: float,
) -> None:
    """Recall of CASCADE, a run of a cascade recipe, on the figures of crops whose patients none of the runs saw."""
    from training.data.combined_stores import read_stores  # noqa: PLC0415
    from training.data.crops import read_crops  # noqa: PLC0415
    from training.evaluation.caching_detector import CachingDetector  # noqa: PLC0415
    from training.evaluation.out_of_domain import recall_of_crops  # noqa: PLC0415
    from training.evaluation.served_analysis import print_rates  # noqa: PLC0415
    from training.export.draft_models import draft_detector  # noqa: PLC0415
    from training.recipes.record import read_record  # noqa: PLC0415

    runs = [cascade, *verifier, *([screener] if screener else [])]
    records = {run: read_record(run) for run in runs}
    if unstated := [str(run) for run, record in records.items() if record is None]:
        raise ValueError(f"{', '.join(unstated)}: no run.json states whom the run saw")
    seen = frozenset[str]().union(*(record.seen for record in records.values() if record))
    dataset = read_stores(data)
    bank = read_crops([p for p in dataset if p.patient not in seen], Path(dataset.root))
    detector = CachingDetector.from_detector(draft_detector(cascade, verifier, screener)).at(
        screening, verified=bool(verifier)
    )
    print(f"{len(bank)} crops of {len(set(bank.cases.tolist()))} cases")
    print_rates(recall_of_crops(detector, bank, threshold=threshold, share=figures))
