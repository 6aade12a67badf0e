"""The `mitoserve` command."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from serving import __version__
from serving.access.access import open_access
from serving.access.local_key import local_key
from serving.cli_access import audit, keys
from serving.cli_candidates import COMMANDS
from serving.cli_cohort import cohort
from serving.cli_compare import compare_cascades
from serving.cli_export import export
from serving.cli_models import models
from serving.cli_remote import score_at
from serving.cli_scoring import options_of, scoring_options
from serving.cli_storage import state
from serving.cli_tune import tune_threads
from serving.client import Client
from serving.console import labelled, open_console, shown, text_column
from serving.exports import write_all
from serving.report import Report
from serving.scoring.analysis import Options
from serving.scoring.detector import Detector
from serving.scoring.onnx_detector import load_detector
from serving.scoring.pipeline import score_slide
from serving.settings import Settings, SettingsError
from serving.wsi.errors import MitoserveError
from serving.wsi.geometry import parse_roi
from serving.wsi.modelcard import RESEARCH_USE
from serving.wsi.pixelsize import PixelSize
from serving.wsi.slide import open_slide

SOME_FAILED = 1
"""Exit code when at least one slide could not be scored; 2 means that nothing was tried."""

LAST_REQUESTS_S = 20
"""How long requests may go on after SIGTERM; BentoML kills the process after 30 s, and by then analyses must be told."""

_out = open_console()
_err = open_console(stderr=True)


@click.group(epilog=RESEARCH_USE, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mitoserve")
def main() -> None:
    """Slide-level mitosis scoring in H&E whole-slide images."""


main.add_command(keys)
main.add_command(cohort)
main.add_command(audit)
main.add_command(export)
main.add_command(models)
main.add_command(state)
main.add_command(tune_threads)
for command in (compare_cascades, *COMMANDS):
    models.add_command(command)


@main.command()
@click.argument("slides", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SLIDE...")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option("--roi", help="Only here: x,y,width,height in level-0 px, or a JSON list of [x, y] points.")
@scoring_options
@click.option("--server", metavar="URL", help="Score there and not on this machine; MITOSERVE_KEY holds the API key.")
def score(
    slides: tuple[Path, ...],
    *,
    out: Path,
    roi: str | None,
    models: Path | None,
    provider: tuple[str, ...],
    server: str | None,
    **scoring: Any,
) -> None:
    """Score slides; report.json, detections.geojson, tiles.csv and the mitosis map go to --out.

    Several slides get a folder each below --out. A slide that fails does not stop the others; the exit code is then 1.
    """
    settings = _settings()
    try:
        options = replace(options_of(**scoring), roi=None if roi is None else parse_roi(roi))
        if server is not None:
            stated = {"roi": roi, **scoring}
            with Client(server) as client:
                _score_all(slides, out, lambda slide, folder: _score_there(client, slide, folder, stated))
            return
        detector = load_detector(models or settings.models, providers=provider or settings.providers)
    except MitoserveError as error:
        raise click.UsageError(str(error)) from error
    _score_all(slides, out, lambda slide, folder: _score_one(slide, folder, detector, options))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is every one.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--models", type=click.Path(path_type=Path), help="Models folder, in place of MITOSIS_MODELS.")
@click.option(
    "--no-key",
    is_flag=True,
    help="Let in whoever calls over loopback; not where a proxy or a tunnel runs on this machine.",
)
def serve(*, host: str, port: int, models: Path | None, no_key: bool) -> None:
    """Serve the HTTP API through BentoML.

    Until there are keys (`mitoserve keys create`) or an identity provider (MITOSIS_OIDC_ISSUER), it serves this machine alone,
    and prints the address to open. Beyond this machine (--host) it starts only with them. MITOSIS_TLS_CERTIFICATE and
    MITOSIS_TLS_KEY turn TLS on.
    """
    settings = _settings()
    if no_key:
        os.environ["MITOSIS_LOOPBACK_WITHOUT_KEY"] = "on"
        settings = replace(settings, loopback_without_key="on")
    _say_where(settings, host, port)
    if models is not None:
        os.environ["MITOSIS_MODELS"] = str(models.absolute())
    command = ["-m", "bentoml", "serve", "serving.service:MitoserveService", "--host", host, "--port", str(port)]
    command += ["--timeout-graceful-shutdown", str(LAST_REQUESTS_S)]
    if settings.tls_certificate is not None:
        command += ["--ssl-certfile", str(settings.tls_certificate), "--ssl-keyfile", str(settings.tls_key)]
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - the server takes this process's place


def _say_where(settings: Settings, host: str, port: int) -> None:
    """Print the address to open in a browser, with the key of this machine while that is what opens it."""
    scheme = "http" if settings.tls_certificate is None else "https"
    shown = "localhost" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    address = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    try:
        door = open_access(settings).door
        if not door.prepare():
            click.echo(f"open {address} in a browser once the server is ready", err=True)
        elif sys.stderr.isatty():
            click.echo("open this address in a browser once the server is ready; its key opens the server:", err=True)
            click.echo(f"    {address}#key={local_key(settings)}", err=True)
        else:  # what is no terminal is a log, which others may read
            click.echo(
                f"open {address} in a browser once the server is ready; `mitoserve keys local` prints the key", err=True
            )
    except (SettingsError, MitoserveError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("slide", type=click.Path(path_type=Path))
def info(slide: Path) -> None:
    """State what Mitoserve reads from a slide: size, resolution, vendor, hash."""
    try:
        with open_slide(slide) as opened:
            rows = {
                "name": opened.name,
                "vendor": opened.vendor,
                "size": f"{opened.width} x {opened.height} px",
                "mpp": "not stated; pass --mpp to score" if opened.mpp is None else f"{opened.mpp:g} um/px",
                "sha256": opened.sha256,
            }
    except (MitoserveError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for name, value in rows.items():
        _out.print(f"{name:8} {shown(value)}", soft_wrap=True)


def _settings() -> Settings:
    try:
        return Settings.from_environment()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _score_all(slides: tuple[Path, ...], out: Path, score_one: Callable[[Path, Path], Report]) -> None:
    """Score one slide after the other into folders of their own; ends the command with 1 if any failed."""
    failed = 0
    for slide, folder in zip(slides, _folders(slides, out), strict=True):
        try:
            report = score_one(slide, folder)
        except (MitoserveError, OSError) as error:
            failed += 1
            _err.print(labelled("failed", "red", f"{slide}: {error}"), soft_wrap=True)
        else:
            _summarise(report, folder)
    if failed:
        _err.print(f"{failed} of {len(slides)} slides failed")
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


def _score_one(path: Path, folder: Path, detector: Detector, options: Options) -> Report:
    with open_slide(path) as slide, _progress(shown(slide.name)) as on_progress:
        analysis = score_slide(slide, detector, options, on_progress=on_progress)
        write_all(analysis, folder)
    return analysis.report


def _score_there(client: Client, path: Path, folder: Path, options: Mapping[str, object]) -> Report:
    stated = {name: value for name, value in options.items() if value is not None}
    if isinstance(mpp := stated.get("mpp"), tuple):
        stated["mpp"] = PixelSize.of(mpp).text
    with _progress(shown(path.name)) as on_progress:
        return score_at(client, path, folder, stated, on_progress=on_progress)


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
    _out.print(
        f"{shown(report.slide.name)}: {counts.mitotic_figures} mitotic figures in {counts.tissue_area_mm2:.2f} mm2 ({density}), "
        f"{report.timing.wall_s:.0f} s -> {shown(str(folder))}",
        soft_wrap=True,
    )
    for warning in report.warnings:
        _err.print(labelled("warning", "yellow", f"{report.slide.name}: {warning}"), soft_wrap=True)


if __name__ == "__main__":
    main()
