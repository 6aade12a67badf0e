"""Make a detector of points a release and score a slide with it: `python examples/own_points_detector.py net.onnx slide.svs`.

`net.onnx` takes floats, shape (n, 3, 512, 512), and gives logits, shape (n, 1, h, w). The contract below says so; change it for yours.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import mitoserve
from serving.adoption.adopting import write_version
from serving.adoption.contract import AdoptionContract
from serving.adoption.graphs import count_parameters, wrap_network

CONTRACT: dict[str, Any] = {
    "version": "0.1.0",
    "architecture": "a network that gives a map of logits",
    "licence": "CC-BY-4.0",
    "source": "who made it, and where it is",
    "mpp": 0.5,
    "window_px": 512,
    "overlap_px": 64,
    "pixels": {
        "layout": "nchw",
        "colours": "rgb",
        "normalisation": {"scale": 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    },
    "output": {"form": "map", "channel": 0, "activation": "sigmoid"},
    "threshold": {"probability": 0.5, "how_chosen": "by its makers", "data": "theirs", "achieved": "as they say"},
    "least_probability": 0.2,
}


def main(network: Path, slide: Path, stated: dict[str, Any] | None = None) -> mitoserve.Report:
    """Adopt the network, score the slide with it and print its count."""
    contract = AdoptionContract.model_validate(stated or CONTRACT)
    with tempfile.TemporaryDirectory() as models:
        version = Path(models) / contract.role / contract.version
        graph = wrap_network(network, contract)
        write_version(graph, contract, version, weights=f"of {network.name}", parameters=count_parameters(network))
        report = mitoserve.score(slide, models=Path(models))
    print(f"{report.slide.name}: {report.counts.mitotic_figures} mitotic figures by {contract.architecture}")
    return report


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
