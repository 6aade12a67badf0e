"""`mitoserve cohort`: many slides over a cluster, and how far that is."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from serving.cli.scoring_options import parse_options, scoring_options
from serving.cohort.cohort import CohortRun, score_cohort
from serving.cohort.layout import Failure
from serving.cohort.ledger import CohortTally
from serving.cohort.listing import manifest_at
from serving.cohort.manifest import with_mpp
from serving.cohort.progress import ShownProgress
from serving.cohort.status import Status, read_status
from serving.cohort.storage import open_storage
from serving.cohort.worker import WorkOrder
from serving.console import format_label, format_message, open_console
from serving.core.errors import MitoserveError
from serving.core.pixelsize import parse_mpp
from serving.core.words import RESEARCH_USE, format_count
from serving.exports import EXPORTS
from serving.settings import ServerSettings
from serving.store.dicomweb import Credential

SOME_FAILED = 1
"""Exit code when at least one slide has no report; 2 means that nothing was tried."""
INTERRUPTED = 130
_SHOWN = 20
"""Slides that failed are named up to this number; `status` and the tables have them all."""

_out = open_console()
_err = open_console(stderr=True)


@click.group(epilog=RESEARCH_USE)
def cohort() -> None:
    """Score many slides over a cluster, and see how far that is. Needs the extra `cohort`."""


@cohort.command()
@click.argument("manifest")
@click.option("--out", required=True, metavar="PATH|URL", help="Folder, or address in a bucket, for the results.")
@click.option("--address", help="Of a Ray cluster that is there, or auto; by default one is started on this machine.")
@click.option(
    "--workers", type=click.IntRange(1), help="By default one a GPU, else 2 here and as many as fit elsewhere."
)
@click.option(
    "--threads", type=click.IntRange(1), help="Processors of a worker; by default its share of the machine's."
)
@click.option(
    "--also", multiple=True, type=click.Choice([name for name in EXPORTS if name != "report"]),
    help="Another format for each slide, below files/; repeat for several.",
)  # fmt: skip
@click.option(
    "--time-limit", type=click.FloatRange(1), metavar="SECONDS",
    help="For a slide; then it is given to another worker. By default ten times what others of its size took.",
)  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Try slides again that failed by their own fault.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@scoring_options(without=("roi", "within", "exclude"))
def score(
    manifest: str,
    *,
    out: str,
    address: str | None,
    workers: int | None,
    threads: int | None,
    also: tuple[str, ...],
    time_limit: float | None,
    retry_failed: bool,
    as_json: bool,
    models: Path | None,
    provider: tuple[str, ...],
    mpp: str | None,
    **scoring: Any,
) -> None:
    """Score the slides of MANIFEST; give the same command again to go on after whatever stopped it.

    MANIFEST is a CSV with a column `slide` (also `id`, `case`, `mpp`, `roi`), a list with a slide a line, a folder, a
    pattern, an address in a bucket (s3://, gs://, az://), or a DICOMweb service (dicomweb+https://). The exit code is 1
    if a slide has no report, and 2 if nothing was tried.
    """
    started = time.monotonic()
    try:
        settings = ServerSettings.from_environment()
        options = parse_options(scoring)
        credential = Credential(settings.dicomweb_token, settings.dicomweb_hosts)
        found = with_mpp(manifest_at(manifest, credential=credential), None if mpp is None else parse_mpp(mpp))
        for column in found.ignored:
            _warn(f"the column {column!r} of {manifest} means nothing here; known are slide, id, case, mpp and roi")
        order = WorkOrder(open_storage(out).address, options, also, provider or settings.providers)
        allowed = settings.allowed_licences
        run = CohortRun(models or settings.models, order, address, workers, threads, time_limit, retry_failed, allowed)
    except (MitoserveError, OSError) as error:
        raise click.UsageError(format_message(error)) from error
    try:
        with ShownProgress(_err) as progress:
            tally = score_cohort(found.entries, run, progress)
    except KeyboardInterrupt:
        _warn(f"stopped; the same command goes on, `mitoserve cohort status {out}` says how far it is")
        sys.exit(INTERRUPTED)
    except (MitoserveError, OSError) as error:
        raise click.ClickException(format_message(error)) from error
    _tell(tally, order.results, time.monotonic() - started, as_json=as_json)
    sys.exit(SOME_FAILED if tally.failures else 0)


@cohort.command()
@click.argument("out", metavar="PATH|URL")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(out: str, *, as_json: bool) -> None:
    """Say what of the cohort at PATH or URL is done, failed and left; exit code 1 if not all is done."""
    try:
        found = read_status(open_storage(out))
    except (MitoserveError, OSError) as error:
        raise click.ClickException(format_message(error)) from error
    if as_json:
        click.echo(json.dumps(found.summary(), indent=1))
    else:
        _out.print(
            f"{found.done} done, {len(found.failed)} failed, {found.left} left of {found.slides}", highlight=False
        )
        _name(found.failed, len(found.failed))
        click.echo(RESEARCH_USE)
    sys.exit(SOME_FAILED if found.done < found.slides else 0)


def _tell(tally: CohortTally, out: str, seconds: float, *, as_json: bool) -> None:
    done, failures = tally.scored + tally.kept, list(tally.failures.values())
    if as_json:
        summary = Status(tally.slides, done, failures, tally.left).summary()
        pace = {
            "scored": tally.scored,
            "kept": tally.kept,
            "tiles": tally.tiles,
            "seconds": round(seconds, 1),
            "slides_per_s": round(tally.scored / seconds, 4),
            "tiles_per_s": round(tally.tiles / seconds, 2),
        }
        click.echo(json.dumps(summary | pace, indent=1))
        return
    _out.print(
        f"{done} of {format_count(tally.slides, 'slide')} done, {tally.scored} scored now ({format_count(tally.tiles, 'tile')}, {seconds:.0f} s) "
        f"-> {out}",
        soft_wrap=True,
    )
    _name(failures, _SHOWN)
    click.echo(RESEARCH_USE)


def _name(failures: Sequence[Failure], most: int) -> None:
    for failure in failures[:most]:
        tries = f" ({failure.tries} tries)" if failure.tries > 1 else ""
        _err.print(
            format_label(
                "failed", "red", f"{failure.slide} {failure.problem}{tries}: {format_message(failure.detail)}"
            ),
            soft_wrap=True,
        )
    if len(failures) > most:
        _err.print(f"and {len(failures) - most} more: see `mitoserve cohort status`")


def _warn(text: str) -> None:
    _err.print(format_label("warning", "yellow", text), soft_wrap=True)
