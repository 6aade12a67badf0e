"""`mitoserve score`: slides scored on this machine or by a server."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from serving.cli.environment import read_settings
from serving.cli.scoring_options import MASK_MPP, parse_options, read_files, scoring_options
from serving.console import escape_control, format_label, format_message, open_console, text_column
from serving.core.errors import MitoserveError, RequestError
from serving.core.options import ScoringOptions
from serving.core.pixelsize import PixelSize, parse_mpp
from serving.core.report import Report
from serving.core.words import as_options, format_count
from serving.exports import write_all
from serving.exports.export import EXPORTS
from serving.registry.provenance import check_licences
from serving.scoring.detector import AnyDetector, list_released_cards
from serving.scoring.detector_run import triage_threshold
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide

if TYPE_CHECKING:
    from serving.client import Client
    from serving.client.effects import OnProgress

SOME_FAILED = 1
"""Exit code when at least one slide could not be scored; 2 means that nothing was tried."""

_REGION_OPTIONS = ("--within", "--exclude", "--mask-mpp")

_out = open_console()
_err = open_console(stderr=True)


@click.command()
@click.argument("slides", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SLIDE...")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@scoring_options()
@MASK_MPP
@click.option("--server", metavar="URL", help="Score there and not on this machine; MITOSIS_KEY holds the API key.")
def score(
    slides: tuple[Path, ...],
    *,
    out: Path,
    models: Path | None,
    provider: tuple[str, ...],
    server: str | None,
    mask_mpp: float | None,
    **scoring: Any,
) -> None:
    """Score slides; report.json, detections.geojson, tiles.csv and the mitosis map go to --out.

    Several slides get a folder each below --out. A slide that fails does not stop the others; the exit code is then 1.
    """
    settings = read_settings()
    try:
        scoring = read_files(scoring, mask_mpp=mask_mpp)
        options = parse_options(scoring)
        if len(slides) > 1 and (options.counting.within or options.counting.exclude):
            raise RequestError("`within` and `exclude` are regions of one slide: score the slides one by one")
        if server is not None:
            from serving.client import Client  # noqa: PLC0415  # loads httpx, which scoring here does without

            with Client(server, on_retry=partial(_say_retry, server)) as client:
                _score_all(slides, out, lambda slide, folder: _score_there(client, slide, folder, scoring))
            return
        detector = load_detector(models or settings.models, providers=provider or settings.providers)
        check_licences(list_released_cards(detector), settings.allowed_licences)
        triage_threshold(detector, options)  # raises where there is none to ask
    except (MitoserveError, OSError) as error:
        raise click.UsageError(as_options(format_message(error), _REGION_OPTIONS)) from error
    _score_all(slides, out, lambda slide, folder: _score_one(slide, folder, detector, options))


def _score_all(slides: tuple[Path, ...], out: Path, score_one: Callable[[Path, Path], Report]) -> None:
    """Score one slide after the other into folders of their own; ends the command with 1 if any failed."""
    failed = 0
    for slide, folder in zip(slides, _folders(slides, out), strict=True):
        try:
            report = score_one(slide, folder)
        except (MitoserveError, OSError) as error:
            failed += 1
            _err.print(format_label("failed", "red", f"{slide}: {format_message(error)}"), soft_wrap=True)
        else:
            _summarise(report, folder)
    if failed:
        _err.print(f"{failed} of {format_count(len(slides), 'slide')} failed")
        sys.exit(SOME_FAILED)


def _folders(slides: tuple[Path, ...], out: Path) -> list[Path]:
    """One folder a slide; a number tells apart slides of the same name."""
    if len(slides) == 1:
        return [out]
    folders: list[Path] = []
    for slide in slides:
        folder, number = out / slide.stem, 2
        while folder in folders:
            folder, number = out / f"{slide.stem}-{number}", number + 1
        folders.append(folder)
    return folders


def _score_one(path: Path, folder: Path, detector: AnyDetector, options: ScoringOptions) -> Report:
    with open_slide(path) as slide, _progress(escape_control(slide.name)) as on_progress:
        analysis = score_slide(slide, detector, options, on_progress=on_progress)
        write_all(analysis, folder)
    return analysis.report


def _score_there(client: "Client", path: Path, folder: Path, options: Mapping[str, object]) -> Report:
    stated = {name: value for name, value in options.items() if value is not None}
    if isinstance(mpp := stated.get("mpp"), str):
        stated["mpp"] = PixelSize.from_mpp(parse_mpp(mpp)).text
    with _progress(escape_control(path.name)) as on_progress:
        return score_at(client, path, folder, stated, on_progress=on_progress)


def _say_retry(server: str, reason: str, seconds: float) -> None:
    _err.print(format_label("waiting", "yellow", f"{server}: {reason}; next try in {seconds:.0f} s"), soft_wrap=True)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with tiles and time left, on a terminal; nothing in a log file."""
    columns = (
        text_column("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("tiles"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_err, disable=not _err.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _summarise(report: Report, folder: Path) -> None:
    counts = report.counts
    density = "no tissue" if counts.per_mm2 is None else f"{counts.per_mm2:.1f} per mm2"
    atypical = "" if counts.atypical is None else f", {counts.atypical.figures} of {counts.atypical.of} atypical,"
    _out.print(
        f"{escape_control(report.slide.name)}: {format_count(counts.mitotic_figures, 'mitotic figure')}{atypical} in {counts.tissue_area_mm2:.2f} mm2 ({density}), "
        f"{report.timing.wall_s:.0f} s -> {escape_control(str(folder))}",
        soft_wrap=True,
    )
    for warning in report.warnings:
        _err.print(format_label("warning", "yellow", f"{report.slide.name}: {format_message(warning)}"), soft_wrap=True)


def score_at(
    client: "Client", slide: Path, folder: Path, options: Mapping[str, Any], *, on_progress: "OnProgress"
) -> Report:
    """The report of a slide that a server scored, after every export was written into `folder`.

    Raises
    ------
    ClientError
        If the server refuses, cannot be reached or fails.
    """
    stored = client.upload(slide, on_progress=on_progress)
    analysis = client.start(stored, **options)
    client.wait(analysis, on_progress=on_progress)
    for name, export in EXPORTS.items():
        if not export.usual:
            continue
        client.download(analysis, name, folder / export.file_name)
    return Report.model_validate_json((folder / EXPORTS["report"].file_name).read_bytes())
