"""`mitoserve keys` and `mitoserve audit`: who may call this server, and what they did."""

import getpass
import json
from dataclasses import asdict

import click

from serving.access.access import Access, open_access
from serving.access.audit import Entry
from serving.access.local_key import local_key
from serving.access.principal import SCOPES, Scope
from serving.console import open_console, open_table
from serving.settings import Settings, SettingsError
from serving.wsi.errors import MitoserveError

_out = open_console()


@click.group()
def keys() -> None:
    """Make, list and revoke the API keys of this server; MITOSIS_STATE says which server."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="read: see one's own; score: also bring and remove slides; admin: also those of others.",
)
@click.option("--requests-per-minute", type=click.IntRange(1), help="In place of MITOSIS_REQUESTS_PER_MINUTE.")
@click.option("--disk-quota", type=click.IntRange(0), metavar="BYTES", help="In place of MITOSIS_DISK_QUOTA_BYTES.")
def create(*, name: str, scopes: tuple[Scope, ...], requests_per_minute: int | None, disk_quota: int | None) -> None:
    """Make a key for NAME and print it, this once only: what is kept cannot be turned back into it."""
    settings, access = _opened()
    token, key = access.keys.create(
        name[:200],
        scopes,
        requests_per_minute=requests_per_minute or settings.requests_per_minute,
        disk_quota_bytes=settings.disk_quota_bytes if disk_quota is None else disk_quota,
    )
    _record(access, "keys create", key.id)
    click.echo(f"key {key.id} for {key.name}: note it now, it is not shown again", err=True)
    click.echo(token)


@keys.command("list")
def list_keys() -> None:
    """List the keys, without the keys themselves."""
    _, access = _opened()
    table = open_table("id", "name", "scopes", "requests/min", "disk quota", "made", "revoked")
    for key in access.keys.list():
        table.add_row(
            key.id,
            key.name,
            " ".join(scope for scope in SCOPES if scope in key.scopes),
            str(key.requests_per_minute or "any"),
            "any" if key.disk_quota_bytes is None else str(key.disk_quota_bytes),
            key.created_at[:19],
            (key.revoked_at or "")[:19],
        )
    _out.print(table)


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(*, key_id: str) -> None:
    """Revoke the key ID; it opens nothing any more, a second from now."""
    _, access = _opened()
    try:
        access.keys.revoke(key_id)
    except MitoserveError as error:
        raise click.ClickException(str(error)) from error
    _record(access, "keys revoke", key_id)
    click.echo(f"key {key_id} is revoked")


@keys.command("local")
def show_local() -> None:
    """Print the key of this machine, which opens its server until `keys create` has made one."""
    settings, access = _opened()
    if access.door.locked:
        raise click.ClickException(
            "this server has keys or an identity provider, and takes no other; make one with `mitoserve keys create`"
        )
    try:
        click.echo(local_key(settings))
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@click.group()
def audit() -> None:
    """Read and check the log of who did what."""


@audit.command()
def show() -> None:
    """Print every record, a JSON object a line, oldest first."""
    _, access = _opened()
    for record in access.audit.records():
        click.echo(json.dumps(asdict(record)))


@audit.command()
@click.option("--known", metavar="HASH", help="A hash that `verify` printed earlier; the log must still hold it.")
def verify(*, known: str | None) -> None:
    """Compute the chain of hashes again; exit code 1 if a record was changed, removed or put in.

    Note the printed hash somewhere else: only against it does it show that the newest records were cut off.
    """
    _, access = _opened()
    try:
        count, newest = access.audit.verify(known=known)
    except MitoserveError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{count} records hold; the newest has the hash {newest}")


def _opened() -> tuple[Settings, Access]:
    try:
        settings = Settings.from_environment()
        return settings, open_access(settings)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _record(access: Access, action: str, subject: str) -> None:
    access.audit.append(Entry(f"shell:{getpass.getuser()}", action, "done", subject=subject))
