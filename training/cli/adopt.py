"""`adopt`: a state dict that others made as a version that serving loads."""

from pathlib import Path

import click

from training.cli.options import A_PATH


@click.command()
@click.argument("weights", type=A_PATH, metavar="WEIGHTS")
@click.option(
    "--contract", type=A_PATH, required=True, help="YAML file that says how the detector is fed and what it gives"
)
@click.option(
    "--out", type=A_PATH, required=True, help="folder of models; the version is written to <name>/<version> in it"
)
def command(*, weights: Path, contract: Path, out: Path) -> None:
    """Write WEIGHTS, a state dict of a torchvision detector or of KongNet, as a version: graph, card and parity sample.

    `mitoserve models add` checks it and keeps it; `mitoserve models adopt` takes ONNX files itself.
    """
    from serving.adoption.adopting import (  # noqa: PLC0415
        adopt_weights,
        check_absent,
        find_version_folder,
        make_windows,
    )
    from serving.adoption.contract import read_contract  # noqa: PLC0415
    from serving.adoption.weights import find_weights  # noqa: PLC0415
    from training.export.foreign_detectors import export_module, make_module  # noqa: PLC0415

    stated, found = read_contract(contract), find_weights(weights)
    check_absent(find_version_folder(stated, out))  # before minutes of export
    module = make_module(stated, found.path)
    graph = export_module(module, stated, make_windows(stated))
    parameters = sum(p.numel() for p in module.parameters())
    card, folder = adopt_weights(graph, stated, found, out, parameters=parameters, note=", as float32")
    print(f"{card.name}@{card.version} is in {folder}; `mitoserve models add {folder}` checks it and keeps it")
