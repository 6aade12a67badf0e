"""`mitoserve state`: what a server keeps, checked and put right."""

import sys
from collections import Counter

import click
from rich.console import Console
from rich.progress import Progress

from serving.cli.server_state import open_server_state
from serving.core.errors import MitoserveError
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.jobs.scrub import SEVERE, Finding, ScrubTally, count
from serving.jobs.scrub import scrub as scrubbed
from serving.settings import ServerSettings
from serving.store.database import open_database
from serving.store.shared_folder_store import open_folder_store
from serving.store.slides import SlideStore

DAMAGE_FOUND = 1
"""Exit code when something is lost until it is brought or computed again; 2 means that nothing was checked."""


@click.group()
def state() -> None:
    """Check what this server keeps; MITOSIS_STATE, MITOSIS_DATABASE and MITOSIS_OBJECTS say where."""


@state.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(*, yes: bool) -> None:
    """Make the state folder (and the bucket) belong to the database that the settings name.

    A server refuses to start on a state folder or bucket that belongs to another database, since slides and results that
    the database does not know would be taken for left over. Adopt after a database was made anew or was moved from
    elsewhere on purpose. Slides and results that it does not know stay where they are as long as they are most of what there is.
    """
    try:
        settings = ServerSettings.from_environment()
        where = f"{settings.state}" + (f" and {settings.objects}" if settings.objects else "")
        if not yes:
            click.confirm(f"Make {where} belong to {settings.database or 'the database in it'}?", abort=True)
        database = open_database(settings, adopt=True)
        try:
            open_folder_store(settings).start(database, adopt=True)
        finally:
            database.close()
    except MitoserveError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{where} belongs to this database now")


@state.command()
@click.option(
    "--repair", is_flag=True, help="Forget lost results and delete damaged findings, so that both are computed again."
)
def scrub(*, repair: bool) -> None:
    """Read all that is kept, compare it with its checksums, and say what is damaged or lost.

    It may run beside a server. The exit code is 1 where the database, a slide or a result is damaged or lost, or was
    until it was repaired. Damaged slides are replaced by their next upload.
    """
    found: list[Finding] = []
    tally = ScrubTally()
    with open_server_state() as server:
        decoders = Decoders(DecoderLimits())
        try:
            store = SlideStore(server.database, server.settings, decoders)
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("checking", total=count(store))
                for finding in scrubbed(store, tally, repair=repair, step=lambda: progress.advance(task)):
                    found.append(finding)
                    mended = " (repaired)" if finding.repaired else ""
                    click.echo(f"{finding.kind}: {finding.name}: {finding.detail}{mended}")
        finally:
            decoders.close()
        if repair:
            server.record("state scrub", f"{len(found)} findings")
    kinds = Counter(finding.kind for finding in found)
    click.echo(
        f"read {tally.slides} slides, {tally.results} results and {tally.findings} files of findings: "
        f"{kinds['slide']} slides, {kinds['result']} results and {kinds['tiles']} files of findings are damaged or lost, "
        f"{kinds['database']} faults of the database, {kinds['stray']} folders that it does not name"
    )
    if tally.unsealed:
        click.echo(f"{tally.unsealed} results of earlier releases have no checksums and were only found to be there")
    if any(kinds[kind] for kind in SEVERE):
        sys.exit(DAMAGE_FOUND)
