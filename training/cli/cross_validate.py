"""`cross-validate`: judge detections of left-out groups, with threshold and calibration of the other groups."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("detections", type=A_PATH, nargs=-1, required=True, metavar="FOLD...")
@data_option("what the folds judge")
@click.option("--rule", default="flat-f1", show_default=True, help="how the threshold is chosen on the other groups")
@click.option("--calibration", default="automatic", show_default=True, help="which calibration, or `automatic`")
@click.option(
    "--detector-share",
    type=click.FloatRange(0, 1),
    help="weight of Det's log odds beside the verifier's, in place of what the folds state",
)
@click.option("--title", default="Cross-validation by group", help="of the page")
@click.option("--out", type=A_PATH, required=True, help="folder for the judgement")
def command(
    *,
    detections: tuple[Path, ...],
    data: tuple[Path, ...],
    rule: str,
    calibration: str,
    detector_share: float | None,
    title: str,
    out: Path,
) -> None:
    """Judge detections of left-out groups, with threshold and calibration of the other groups.

    FOLD is a JSON file of a fold's detections. Refuses detections by weights that saw a patient whom they are to judge. Writes
    judgement.json, judgement.md and judgement.png.
    """
    from training.evaluation.judge import cross_validate  # noqa: PLC0415

    cross_validate(
        data, detections, out, rule=rule, calibration=calibration, detector_share=detector_share, title=title
    )
