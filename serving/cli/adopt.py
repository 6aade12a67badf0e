"""`mitoserve models adopt`: weights that others made become a version."""

import tempfile
from pathlib import Path

import click

from serving.adoption.adopting import adopt_weights
from serving.adoption.contract import AdoptionContract, read_contract
from serving.adoption.graphs import count_parameters, wrap_network
from serving.adoption.weights import WeightsFile, find_weights
from serving.cli.server_state import open_server_state
from serving.console import format_message
from serving.core.errors import MitoserveError
from serving.core.words import RESEARCH_USE


@click.command(epilog=RESEARCH_USE)
@click.argument("weights", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--contract",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="YAML file that says how the detector is fed and what it gives.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the version below this folder, <name>/<version>, and keep it nowhere else.",
)
def adopt(*, weights: Path, contract: Path, out: Path | None) -> None:
    """Make a version of WEIGHTS, an ONNX file or the folder of a model with one, check it and keep it.

    State dicts of torchvision's detectors and of KongNet are taken by `python -m training adopt`.
    """
    try:
        found, stated = find_weights(weights), read_contract(contract)
        if not found.is_graph:
            raise click.UsageError(
                f"{found.path.name} is a state dict; `python -m training adopt` takes those of torchvision's detectors and of "
                "KongNet, and others are exported to ONNX first"
            )
        keep_version(*make_graph(found, stated), found, stated, out)
    except (MitoserveError, OSError) as error:
        raise click.ClickException(format_message(error)) from error


def make_graph(found: WeightsFile, stated: AdoptionContract) -> tuple[bytes, int]:
    """The graph of an ONNX file in the serving contract, and how many parameters it has; raises `ModelError`."""
    return wrap_network(found.path, stated), count_parameters(found.path)


def keep_version(graph: bytes, parameters: int, found: WeightsFile, stated: AdoptionContract, out: Path | None) -> None:
    """Write the version, and keep it in the store unless a folder is given; raises `MitoserveError`."""
    with tempfile.TemporaryDirectory() as scratch:
        card, folder = adopt_weights(graph, stated, found, out or Path(scratch), parameters=parameters)
        label = f"{card.name}@{card.version}"
        if out is not None:
            click.echo(f"{label} is in {folder}; `mitoserve models add {folder}` checks it and keeps it")
            return
        with open_server_state() as server:
            version = server.registry.add(folder)
            server.record("models adopt", version.label)
    click.echo(f"{label} is kept; `mitoserve models promote {label}` makes it serve")
    click.echo(RESEARCH_USE)
