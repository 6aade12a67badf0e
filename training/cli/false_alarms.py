"""`false-alarms`: detections of released models where there is no figure."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@data_option("labelled tissue")
@click.option("--models", type=A_PATH, default=Path("models"), show_default=True)
def command(data: tuple[Path, ...], models: Path) -> None:
    """Detections per mm2 of labelled tissue, away from figures and from where nobody looked."""
    from serving.scoring.detector import counting_threshold, list_cards  # noqa: PLC0415
    from serving.scoring.loading import load_cascade  # noqa: PLC0415
    from serving.scoring.models import newest_release  # noqa: PLC0415
    from training.data.combined_stores import read_stores  # noqa: PLC0415
    from training.evaluation.out_of_domain import FalseAlarmCount, false_alarms  # noqa: PLC0415

    detector, dataset = load_cascade(newest_release(models)), read_stores(data)
    threshold = counting_threshold(list_cards(detector))
    pictures = [p for p in dataset if p.labelled]
    by_slide = false_alarms(detector, pictures, Path(dataset.root), threshold=threshold)
    together = FalseAlarmCount(sum(a.detections for a in by_slide.values()), sum(a.area_mm2 for a in by_slide.values()))
    for name, alarms in {**by_slide, "all": together}.items():
        low, high = alarms.interval()
        print(
            f"{name}: {alarms.per_mm2:.2f} per mm2 ({alarms.detections} in {alarms.area_mm2:.2f} mm2, "
            f"95 % interval {low:.2f} to {high:.2f})"
        )
