"""What the environment states, for commands that need no server's state and load none of what keeps it."""

import click

from serving.settings import ServerSettings, SettingsError


def read_settings() -> ServerSettings:
    """The settings of the environment; a wrong one ends the command with its message."""
    try:
        return ServerSettings.from_environment()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
