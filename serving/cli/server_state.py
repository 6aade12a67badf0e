"""What a command gets of the server that it acts on: its settings, its state, and who may call it."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from serving.access.access import AccessControl, open_access
from serving.access.audit import AuditEntry, AuditLog
from serving.console import format_message
from serving.core.errors import MitoserveError
from serving.registry.registry import ModelRegistry
from serving.settings import ServerSettings, SettingsError
from serving.store.database import Database, open_database

SUBJECT_CHARACTERS = 200
"""Of a record in the audit log; a release keeps a longer reason whole."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of a server that commands act on."""

    settings: ServerSettings
    database: Database
    registry: ModelRegistry

    def record(self, action: str, subject: str) -> None:
        """Put a change on record."""
        entry = AuditEntry(actor(), action, "done", subject=subject[:SUBJECT_CHARACTERS])
        AuditLog(self.database).append(entry)


golden_option = click.option(
    "--golden",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of slides with a GeoJSON of their mitotic figures each, in place of MITOSIS_GOLDEN_SET.",
)


@contextmanager
def open_server_state() -> Iterator[ServerState]:
    """The state of the server; errors end the command with their message."""
    try:
        settings = ServerSettings.from_environment()
        database = open_database(settings)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    try:
        yield ServerState(settings, database, ModelRegistry(settings, database))
    except (MitoserveError, OSError) as error:
        raise click.ClickException(format_message(error)) from error
    finally:
        database.close()


def actor() -> str:
    """Who uses this command line."""
    return f"shell:{getpass.getuser()}"


def open_server_access() -> tuple[ServerSettings, AccessControl]:
    """The settings of the server that MITOSIS_STATE names, and its access control.

    Raises
    ------
    click.UsageError
        If the settings are wrong.
    """
    try:
        settings = ServerSettings.from_environment()
        return settings, open_access(settings)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
