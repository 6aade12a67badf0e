"""`mitoserve state`: what a server keeps, checked and put right."""

import click

from serving.settings import Settings, SettingsError
from serving.store.database import open_database
from serving.store.shared import keeping_of
from serving.wsi.errors import MitoserveError


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
        settings = Settings.from_environment()
        where = f"{settings.state}" + (f" and {settings.objects}" if settings.objects else "")
        if not yes:
            click.confirm(f"Make {where} belong to {settings.database or 'the database in it'}?", abort=True)
        database = open_database(settings, adopt=True)
        try:
            keeping_of(settings).start(database, adopt=True)
        finally:
            database.close()
    except (SettingsError, MitoserveError) as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{where} belongs to this database now")
