"""The group of all commands, which are imported as they are asked for: `--help` stays quick."""

import pkgutil
import sys
from importlib import import_module

import click

from serving.core.errors import MitoserveError
from serving.core.words import RESEARCH_USE
from training import cli

_NOT_COMMANDS = {"group", "options"}


class _Files(click.Group):
    """Commands as files of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands."""
        files = [m.name for m in pkgutil.iter_modules(cli.__path__) if m.name not in _NOT_COMMANDS]
        return sorted(name.strip("_").replace("_", "-") for name in files)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        # `import` is a keyword: its file's name ends in an underscore.
        file = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        command: click.Command = import_module(f"{cli.__name__}.{file}").command
        return command


@click.command(cls=_Files, epilog=RESEARCH_USE, context_settings={"help_option_names": ["-h", "--help"]})
def training() -> None:
    """Label, train, judge and release the models that Mitoserve serves."""


def main() -> None:
    """Run the command that the arguments name; what is wrong with them or their files is said in a line."""
    try:
        training.main(prog_name="python -m training", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit("stopped")
    except (OSError, ValueError, FloatingPointError, MitoserveError) as error:
        sys.exit(f"error: {error}")
