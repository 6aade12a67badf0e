"""`mitoserve keys`: who may call this server."""

import getpass
import re
from datetime import UTC, datetime, timedelta

import click

from serving.access.access import AccessControl
from serving.access.audit import AuditEntry
from serving.access.keys import Key
from serving.access.local_key import local_key
from serving.access.principal import SCOPES, Scope
from serving.cli.server_state import open_server_access
from serving.console import open_console, open_table
from serving.core.errors import MitoserveError
from serving.settings import SettingsError

_out = open_console()
_SPAN = re.compile(r"(\d{1,4})([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Span(click.ParamType[timedelta]):
    """A length of time."""

    name = "span"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """See `click.ParamType`."""
        if isinstance(value, timedelta):
            return value
        if value == "0":
            return timedelta()
        if (found := _SPAN.fullmatch(value)) is None:
            self.fail(f"{value!r} is no length of time; write it as 30m, 12h, 90d or 8w", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


class _End(click.ParamType[datetime]):
    """A moment to come, as a length of time from now or as a date."""

    name = "end"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """See `click.ParamType`."""
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        if _SPAN.fullmatch(value):
            end = now + _Span().convert(value, param, ctx)
        else:
            try:
                stated = datetime.fromisoformat(value)
                end = (stated if stated.tzinfo else stated.replace(tzinfo=UTC)).astimezone(UTC)
            except (ValueError, OverflowError):
                self.fail(
                    f"{value!r} is no end of a key; write it as 12h, 90d, or a date such as 2030-12-31", param, ctx
                )
        if end <= now:
            self.fail(f"{value!r} is not in the future", param, ctx)
        return end


_expiry = click.option(
    "--expires-in",
    "--expires-on",
    "expires_at",
    type=_End(),
    metavar="END",
    help="When the key ends: 12h, 90d, 8w, or a date (its first moment, UTC).",
)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke the API keys of this server; MITOSIS_STATE says which server."""


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
@_expiry
def create(
    *,
    name: str,
    scopes: tuple[Scope, ...],
    requests_per_minute: int | None,
    disk_quota: int | None,
    expires_at: datetime | None,
) -> None:
    """Make a key for NAME and print it, this once only: what is kept cannot be turned back into it."""
    settings, access = open_server_access()
    token, key = access.keys.create(
        name[:200],
        scopes,
        requests_per_minute=requests_per_minute or settings.requests_per_minute,
        disk_quota_bytes=settings.disk_quota_bytes if disk_quota is None else disk_quota,
        expires_at=expires_at,
    )
    _record(access, "keys create", key.id)
    click.echo(f"key {key.id} for {key.name}{_until(key)}: note it now, it is not shown again", err=True)
    click.echo(token)


@keys.command("list")
def list_keys() -> None:
    """List the keys and their states, without the keys themselves; times are UTC."""
    _, access = open_server_access()
    headers = (
        "id",
        "name",
        "state",
        "scopes",
        "requests/min",
        "disk quota",
        "made",
        "ends",
        "former one ends",
        "revoked",
    )
    table, now = open_table(*headers), datetime.now(UTC)
    for key in access.keys.list():
        table.add_row(
            key.id,
            key.name,
            key.state(now),
            " ".join(scope for scope in SCOPES if scope in key.scopes),
            str(key.requests_per_minute or "any"),
            "any" if key.disk_quota_bytes is None else str(key.disk_quota_bytes),
            key.created_at[:19],
            (key.expires_at or "never")[:19],
            (key.former_until or "")[:19],
            (key.revoked_at or "")[:19],
        )
    _out.print(table)


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap",
    type=_Span(),
    default="24h",
    show_default=True,
    metavar="SPAN",
    help="For how long the old one opens still: 0, 30m, 12h, 7d.",
)
@_expiry
def rotate(*, key_id: str, overlap: timedelta, expires_at: datetime | None) -> None:
    """Make a new key in place of the key ID and print it, this once only.

    Id, scopes, limits and what the key owns stay. The old one opens for the overlap still, and one that was rotated before
    nothing any more. The end stays as it was, unless another is given.
    """
    _, access = open_server_access()
    try:
        token, key = access.keys.rotate(key_id, overlap=overlap, expires_at=expires_at)
    except MitoserveError as error:
        raise click.ClickException(str(error)) from error
    _record(access, "keys rotate", key.id)
    click.echo(
        f"key {key.id} for {key.name}{_until(key)}: note it now, it is not shown again; "
        f"the old one opens until {(key.former_until or '')[:19]} UTC",
        err=True,
    )
    click.echo(token)


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(*, key_id: str) -> None:
    """Revoke the key ID; it opens nothing any more, a second from now."""
    _, access = open_server_access()
    try:
        access.keys.revoke(key_id)
    except MitoserveError as error:
        raise click.ClickException(str(error)) from error
    _record(access, "keys revoke", key_id)
    click.echo(f"key {key_id} is revoked")


@keys.command("local")
def show_local() -> None:
    """Print the key of this machine, which opens its server until `keys create` has made one."""
    settings, access = open_server_access()
    if access.door.locked:
        raise click.ClickException(
            "this server has keys or an identity provider, and takes no other; make one with `mitoserve keys create`"
        )
    try:
        click.echo(local_key(settings))
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _until(key: Key) -> str:
    return "" if key.expires_at is None else f", until {key.expires_at[:19]} UTC"


def _record(access: AccessControl, action: str, subject: str) -> None:
    access.audit.append(AuditEntry(f"shell:{getpass.getuser()}", action, "done", subject=subject))
