"""`python -m serving.demo`: score a generated slide, or your own, and compare with the truth where it is known."""

import sys
from pathlib import Path

import click
import numpy as np

from serving.cli.score import score
from serving.core.report import Report
from serving.core.words import RESEARCH_USE, format_count
from serving.scoring.matching import MATCH_RADIUS_UM, match_centres
from serving.synthetic.slide import SlideTruth, generate_slide

SEED = 7


@click.command()
@click.option("--slide", type=click.Path(path_type=Path), help="Your own slide in place of a generated one.")
@click.option("--mpp", type=float, help="Microns per level-0 px, where the slide states none.")
@click.option("--out", default="demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
def main(*, slide: Path | None, mpp: float | None, out: Path) -> None:
    """Score one slide into OUT and say where the mitosis map is."""
    out.mkdir(parents=True, exist_ok=True)
    truth = None
    if slide is None:
        slide = out / "slide.tif"
        click.echo("drawing a slide of generated tissue ...")
        truth = generate_slide(slide, seed=SEED)
    stated = [] if mpp is None else ["--mpp", str(mpp)]
    try:
        score.main([str(slide), "--out", str(out), *stated], prog_name="mitoserve score", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    if truth is not None:
        click.echo(compare(Report.model_validate_json((out / "report.json").read_bytes()), truth))
    click.echo(f"mitosis map: {out / 'mitosis-map.png'}   report: {out / 'report.json'}\n{RESEARCH_USE}")


def compare(report: Report, truth: SlideTruth) -> str:
    """Recall and precision of a report on a generated slide, in words."""
    found = np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in report.detections]).reshape(-1, 2)
    boxes = np.asarray(truth.mitotic_figures, np.float64).reshape(-1, 4)
    pairs = match_centres(found, (boxes[:, :2] + boxes[:, 2:]) / 2, MATCH_RADIUS_UM / report.slide.mpp)
    return (
        f"generated truth: {format_count(len(boxes), 'mitotic figure')}, {format_count(len(truth.lookalikes), 'look-alike')}; "
        f"recall {len(pairs) / max(len(boxes), 1):.2f}, precision {len(pairs) / max(len(found), 1):.2f} "
        "(generated cells say that the chain works, nothing of accuracy on tissue)"
    )


if __name__ == "__main__":
    main()
