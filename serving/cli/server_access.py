"""Who may call the server that a command acts on."""

import click

from serving.access.access import AccessControl, open_access
from serving.settings import ServerSettings, SettingsError


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
