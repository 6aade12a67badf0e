"""`mitoserve audit`: who did what on this server."""

import json
from dataclasses import asdict

import click

from serving.cli.server_state import open_server_access
from serving.core.errors import MitoserveError


@click.group()
def audit() -> None:
    """Read and check the log of who did what."""


@audit.command()
def show() -> None:
    """Print every record, a JSON object a line, oldest first."""
    _, access = open_server_access()
    for record in access.audit.records():
        click.echo(json.dumps(asdict(record)))


@audit.command()
@click.option("--known", metavar="HASH", help="A hash that `verify` printed earlier; the log must still hold it.")
def verify(*, known: str | None) -> None:
    """Compute the chain of hashes again; exit code 1 if a record was changed, removed or put in.

    Note the printed hash somewhere else: only against it does it show that the newest records were cut off.
    """
    _, access = open_server_access()
    try:
        count, newest = access.audit.verify(known=known)
    except MitoserveError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{count} records hold; the newest has the hash {newest}")
