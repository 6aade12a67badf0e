"""`mitoserve export`: a report in another format."""

import json
from pathlib import Path

import click
import tifffile
from pydantic import ValidationError

from serving.console import format_message
from serving.core.errors import MitoserveError, RequestError
from serving.core.report import Report
from serving.core.validation import describe_problem
from serving.exports import EXPORTS, write
from serving.exports.sheet_pictures import read_views
from serving.scoring.analysis import Analysis, MitosisMap, Overview
from serving.scoring.tissue import overview_side
from serving.slides.opening import open_slide

PICTURED = ("png", "html", "pdf", "appendix-html", "appendix-pdf")
"""Formats that show the slide."""
_MAP = "mitosis-map.tif"


@click.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "format_", required=True, type=click.Choice(list(EXPORTS)), help="Format.")
@click.option("--slide", type=click.Path(exists=True, path_type=Path), help="Needed for DICOM and for pictures.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File; by default beside REPORT.")
def export(report: Path, *, format_: str, slide: Path | None, out: Path | None) -> None:
    """Write REPORT (report.json, with mitosis-map.tif beside it) in another format."""
    try:
        if format_ in PICTURED and slide is None:
            raise RequestError(f"{format_} shows the slide: pass --slide")
        path = write(
            format_, read_analysis(report, slide), out or report.parent / EXPORTS[format_].file_name, slide=slide
        )
    except (MitoserveError, OSError) as error:
        raise click.ClickException(format_message(error)) from error
    click.echo(path)


def read_analysis(report_path: Path, slide: Path | None) -> Analysis:
    """The analysis of which `mitoserve score` wrote the report and, beside it, the map.

    slide : the slide itself, for the picture of it; without one the picture is empty

    Raises
    ------
    MitoserveError, OSError
        If a file is not what it should be, or the slide is another one.
    """
    try:
        report = Report.model_validate_json(report_path.read_bytes())
    except ValidationError as error:
        raise RequestError(f"{report_path} is no report: {describe_problem(error, otherwise='file')}") from error
    lattice = _map(report_path.with_name(_MAP))
    if slide is None:
        return Analysis(report, lattice, Overview.empty())
    with open_slide(slide) as opened:
        if (opened.width, opened.height) != (report.slide.width, report.slide.height):
            raise RequestError(f"{slide} has another size than the slide of {report_path}")
        # As fine as when the slide was scored: tissue is found again in it.
        pixels = opened.thumbnail(overview_side(opened.width, opened.height, report.slide.mpp))
        views = read_views(opened, report)
    return Analysis(report, lattice, Overview(pixels, report.slide.width / pixels.shape[1]), views=views)


def _map(path: Path) -> MitosisMap:
    if not path.exists():
        raise RequestError(f"{path} is missing: the formats draw from it; keep what `mitoserve score` wrote together")
    try:
        with tifffile.TiffFile(path) as tiff:
            about, (scores, *light) = json.loads(tiff.pages.first.description), [page.asarray() for page in tiff.pages]
        x, y, step, window, mpp = (float(about[name]) for name in ("x", "y", "step", "window", "mpp"))
        return MitosisMap(scores, x, y, step, window, mpp, triage=light[0] if light else None)
    except (ValueError, KeyError, tifffile.TiffFileError) as error:
        raise RequestError(f"{path} is no map that `mitoserve score` wrote: {error}") from error
