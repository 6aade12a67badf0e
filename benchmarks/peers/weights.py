"""One network, four files: torch weights, TorchScript, and ONNX graphs that see sub-tiles alone and tiles at once."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.peers.network import WindowScreener
from serving.core.modelcard import load_card
from serving.scoring.models import model_folder
from training.export.graphs import RegNSGraph
from training.export.onnx_files import export_regns, store_in_half
from training.export.publishing import hashes, publish
from training.models.weights import read_released_weights


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """torch_weights : of `WindowScreener`. exact, shipped : version folders of the serving contract."""

    torch_weights: Path
    exact: Path
    shipped: Path


def write_models(released: Path, folder: Path) -> NetworkFiles:
    """The newest released Reg-NS as torch weights, and as a graph whose sub-tiles' scores depend on nothing else.

    released : a models folder. The weights are the file's own: half precision in the file, float32 in arithmetic.
    """
    shipped = model_folder(released, "reg-ns")
    screener = WindowScreener()
    screener.load_state_dict({**screener.state_dict(), **read_released_weights(shipped / "model.onnx")})
    weights = folder / "weights.pt"
    torch.save(screener.state_dict(), weights)
    return NetworkFiles(weights, _exact(screener, shipped, folder), shipped)


def _exact(screener: WindowScreener, shipped: Path, folder: Path) -> Path:
    card = load_card(shipped)
    part, target = folder / "part", folder / "reg-ns" / card.version
    part.mkdir()
    export_regns(RegNSGraph(screener.trunk, screener.head), folder / "full.onnx")
    store_in_half(folder / "full.onnx", part / "model.onnx")
    told = card.model_copy(update={"input": card.input.model_copy(update={"whole_tile": False}), "files": hashes(part)})
    publish(part, target, told)
    shutil.rmtree(part)
    return target
