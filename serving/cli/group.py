"""The `mitoserve` command.

Each subcommand is a module of its own and is imported when it is called: `mitoserve --help` loads none of what scores,
serves or stores.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from serving import __version__
from serving.core.words import RESEARCH_USE


@dataclass(frozen=True, slots=True)
class CommandLocation:
    """Where a command is defined, and the first sentence of its help."""

    module: str
    name: str
    help: str

    def load(self) -> click.Command:
        """The command itself."""
        command: click.Command = getattr(import_module(self.module), self.name)
        return command


COMMANDS: Mapping[str, CommandLocation] = {
    "audit": CommandLocation("serving.cli.audit", "audit", "Read and check the log of who did what."),
    "benchmark": CommandLocation(
        "serving.cli.benchmark",
        "benchmark",
        "Hold releases against a labelled FOLDER: F1, average precision, counts, hotspots and speed, by tumour, scanner and case.",
    ),
    "cohort": CommandLocation("serving.cli.cohort", "cohort", "Score many slides over a cluster, and see how far that is."),
    "export": CommandLocation(
        "serving.cli.export", "export", "Write REPORT (report.json, with mitosis-map.tif beside it) in another format."
    ),
    "grand-challenge": CommandLocation(
        "serving.cli.grand_challenge",
        "grand_challenge",
        "Score the picture in images/histopathology-roi-cropout of the input folder into mitotic-figures.json of the output folder.",
    ),
    "info": CommandLocation("serving.cli.info", "info", "State what Mitoserve reads from a slide: size, resolution, vendor, hash."),
    "keys": CommandLocation(
        "serving.cli.keys", "keys", "Make, list, rotate and revoke the API keys of this server; MITOSIS_STATE says which server."
    ),
    "models": CommandLocation(
        "serving.cli.models", "models", "List, check, add and choose the models of this server; MITOSIS_STATE says which server."
    ),
    "recount": CommandLocation(
        "serving.cli.recount", "recount", "Count REPORT (report.json, with mitosis-map.tif beside it) again with other options."
    ),
    "score": CommandLocation(
        "serving.cli.score", "score", "Score slides; report.json, detections.geojson, tiles.csv and the mitosis map go to --out."
    ),
    "send": CommandLocation("serving.cli.send", "send", "Send results to an archive, a folder or a bucket."),
    "serve": CommandLocation("serving.cli.serve", "serve", "Serve the HTTP API through BentoML."),
    "state": CommandLocation(
        "serving.cli.state", "state", "Check what this server keeps; MITOSIS_STATE, MITOSIS_DATABASE and MITOSIS_OBJECTS say where."
    ),
    "studies": CommandLocation(
        "serving.cli.studies", "studies", "List the studies of this server and export their readings; MITOSIS_STATE says which server."
    ),
    "tune": CommandLocation(
        "serving.cli.tune", "tune_threads", "Measure how many threads compute fastest on this machine, and use that many from now on."
    ),
}  # fmt: skip
"""Every command by its name. A test compares each help with the command's own."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and listed without that."""

    def __init__(self, *args: Any, places: Mapping[str, CommandLocation], **options: Any) -> None:
        super().__init__(*args, **options)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, sorted."""
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        place = self._places.get(cmd_name)
        return None if place is None else place.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands by what the places say of them."""
        listed = {name: click.Command(name, help=place.help) for name, place in self._places.items()}
        click.Group(commands=listed).format_commands(ctx, formatter)


@click.group(
    cls=LazyGroup,
    places=COMMANDS,
    epilog=RESEARCH_USE,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mitoserve")
def main() -> None:
    """Slide-level mitosis scoring in H&E whole-slide images."""
