"""`mitoserve recount`: a stored report counted again with other options; no model runs."""

from pathlib import Path
from typing import Any

import click

from serving.cli.export import read_analysis
from serving.cli.scoring_options import MASK_MPP, counting_options, read_files
from serving.console import escape_control, format_message, open_console
from serving.core.errors import MitoserveError, RequestError
from serving.core.options import CountingOptions, from_stated
from serving.core.words import as_options, format_count
from serving.exports import write_all
from serving.scoring.recount import recount as count_again

_out = open_console()


@click.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--slide", required=True, type=click.Path(exists=True, path_type=Path), help="That the report is of.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Probability from which detections and candidates count."
)
@counting_options()
@MASK_MPP
def recount(
    report: Path,
    *,
    slide: Path,
    out: Path,
    threshold: float | None,
    mask_mpp: float | None,
    **counting: Any,
) -> None:
    """Count REPORT (report.json, with mitosis-map.tif beside it) again with other options.

    What the models found stays; the new report and its exports go to --out.
    """
    try:
        options = from_stated(CountingOptions, read_files(counting, mask_mpp=mask_mpp))
        analysis = read_analysis(report, slide)
        if analysis.report.settings.qc == "exclude":
            raise RequestError(
                f"{report} leaves out what quality control masks, and the mask is not beside it: score the slide again"
            )
        counted = count_again(analysis, options, threshold=threshold)
        write_all(counted, out)
    except (MitoserveError, OSError) as error:
        names = [name for parameter in recount.params for name in parameter.opts]
        raise click.ClickException(as_options(format_message(error), names)) from error
    counts = counted.report.counts
    atypical = "" if counts.atypical is None else f", {counts.atypical.figures} of {counts.atypical.of} atypical,"
    _out.print(
        f"{escape_control(counted.report.slide.name)}: {format_count(counts.mitotic_figures, 'mitotic figure')}{atypical} in "
        f"{counts.tissue_area_mm2:.2f} mm2 ({', '.join(counts.bounded_by)}) -> {escape_control(str(out))}",
        soft_wrap=True,
    )
