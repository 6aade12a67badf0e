"""`mitoserve grand-challenge`: this software as an algorithm of grand-challenge.org, by the contract of the MIDOG challenges."""

import json
import os
from pathlib import Path

import click

from serving.cli.environment import read_settings
from serving.console import format_message
from serving.core.errors import MitoserveError, RequestError
from serving.core.options import ScoringOptions
from serving.core.words import RESEARCH_USE, format_count
from serving.datasets.pictures import open_picture
from serving.evaluation.challenge_points import FILE, challenge_document
from serving.registry.provenance import check_licences
from serving.scoring.detector import list_released_cards
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.slides.metaimage import OFFSET

IMAGES = Path("images", "histopathology-roi-cropout")
"""Below the input folder."""
_SUFFIXES = (".mha", ".tif", ".tiff")


@click.command(name="grand-challenge")
@click.option("--input", "source", default="/input", show_default=True, type=click.Path(path_type=Path))
@click.option("--output", "target", default="/output", show_default=True, type=click.Path(path_type=Path))
@click.option(
    "--models", type=click.Path(exists=True, path_type=Path), help="Models folder, in place of MITOSIS_MODELS."
)
@click.option("--mpp", type=click.FloatRange(0, min_open=True), help="Microns per px, where the picture states none.")
def grand_challenge(*, source: Path, target: Path, models: Path | None, mpp: float | None) -> None:
    """Score the picture in images/histopathology-roi-cropout of the input folder into mitotic-figures.json of the output folder."""
    settings = read_settings()
    try:
        path = find_picture(source)
        detector = load_detector(models or settings.models, providers=settings.providers)
        check_licences(list_released_cards(detector), settings.allowed_licences)
        with open_picture(path) as slide:
            options = ScoringOptions(mpp=mpp if slide.mpp is None else None)
            report = score_slide(slide, detector, options).report
            offset = [float(number) for number in slide.properties.get(OFFSET, "0 0").split()[:2]]
        made = challenge_document(report, offset_mm=(offset[0], offset[1]))
        target.mkdir(parents=True, exist_ok=True)
        part = target / f"{FILE}.part"
        part.write_text(json.dumps(made, indent=1))
        os.replace(part, target / FILE)
    except (MitoserveError, OSError, ValueError) as error:
        raise click.ClickException(format_message(error)) from error
    click.echo(
        f"{path.name}: {format_count(len(report.detections), 'mitotic figure')} -> {target / FILE}\n{RESEARCH_USE}"
    )


def find_picture(source: Path) -> Path:
    """The one picture that an algorithm is given.

    Raises
    ------
    RequestError
        If there is none, or several.
    """
    folder = source / IMAGES
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)
    if len(found) != 1:
        raise RequestError(f"{folder} must hold one picture ({', '.join(_SUFFIXES)}); it holds {len(found)}")
    return found[0]
