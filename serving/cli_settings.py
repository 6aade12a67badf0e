"""The settings that a command runs with."""

import click

from serving.settings import Settings, SettingsError


def read_settings() -> Settings:
    """The settings of the environment; a wrong one ends the command with its message."""
    try:
        return Settings.from_environment()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
