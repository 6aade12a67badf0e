"""A release: a version folder for each model, with weights, card and parity sample, written only when every check passes."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from serving.wsi.errors import ModelError
from training.data.icpr2012 import read_fields
from training.data.root import data_root
from training.evaluation.leave_one_slide_out import Evaluation, SlideResult
from training.export.cards import det_card, regns_card, verifier_card
from training.export.drafts import graphs_of
from training.export.onnx_files import export_det, export_regns, export_verifier, store_in_half
from training.export.parity import parity_tile, parity_windows, write_parity
from training.export.publishing import hashes, publish
from training.models.verifier import WINDOW_PX as VERIFIER_PX

SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE_PX = 0.05
"""Far below the 0.3 px at which the IoU of a 30 px box falls under 0.99."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What rounding the weights to half precision changes, on real windows."""

    score_mean: float
    score_max: float
    score_spread: float
    """Standard deviation of the scores themselves, for scale."""
    probability_max: float
    verified_max: float


def release(
    weights: Path,
    verifiers: Sequence[Path],
    evaluation_file: Path,
    *,
    screener: Path | None = None,
    models: Path,
    version: str,
    say: Callable[[str], None] = print,
) -> None:
    """Write `models`/<name>/`version` for Reg-NS, Det and the verifier.

    Weights are rounded to half precision, exported in float32 arithmetic, compared with torch, stored, loaded again and
    compared again. Nothing is left behind when a check fails.

    weights : model.pt of `fit`; verifiers : of `fit-verifier`, one net each; screener : of `fit-screening`, if it has one

    Raises
    ------
    ValueError
        If the evaluation is of a cascade with a screener and none is given, or the other way round.
    ModelError
        If ONNX Runtime and torch differ by more than the tolerances.
    FileExistsError
        If the version is there already: versions never change.
    """
    evaluation = read_evaluation(evaluation_file)
    if evaluation.whole_tile != (screener is not None):
        raise ValueError(f"{evaluation_file} is of a cascade with{'' if evaluation.whole_tile else 'out'} a screener")
    exact, rounded = (graphs_of(weights, verifiers, screener) for _ in range(2))
    for graph in rounded:
        _round(graph)
    drift = _drift(exact, rounded)
    say(f"half precision: {drift}")
    steps = (
        ("reg-ns", export_regns, parity_tile(), regns_card),
        ("det", export_det, parity_windows(), det_card),
        ("verifier", export_verifier, _middles(parity_windows()), verifier_card),
    )
    with tempfile.TemporaryDirectory() as scratch:
        for (name, export, sample, card), graph in zip(steps, rounded, strict=True):
            folder = Path(scratch) / name
            parameters = _write(folder, graph, export, sample)
            publish(folder, models / name / version, card(version, evaluation, drift, parameters, hashes(folder)))


def _middles(windows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    edge = (windows.shape[1] - VERIFIER_PX) // 2
    return np.ascontiguousarray(windows[:, edge : edge + VERIFIER_PX, edge : edge + VERIFIER_PX])


def read_evaluation(path: Path) -> Evaluation:
    """The evaluation that `leave_one_slide_out` wrote."""
    values = json.loads(path.read_text())
    rows = [SlideResult(**row) for row in values.pop("per_slide")]
    intervals = {name: tuple(value) for name, value in values.items() if name.endswith("_interval")}
    return Evaluation(per_slide=rows, **{**values, **intervals})


def _round(graph: nn.Module) -> None:
    with torch.no_grad():
        for parameter in graph.parameters():
            parameter.copy_(parameter.half().float())


def _write(folder: Path, graph: nn.Module, export: Callable[[nn.Module, Path], None], sample: NDArray[np.uint8]) -> int:
    """Export, check and add the parity sample; the number of parameters."""
    folder.mkdir()
    export(graph, folder / "full.onnx")
    store_in_half(folder / "full.onnx", folder / "model.onnx")
    (folder / "full.onnx").unlink()
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        result = graph(torch.from_numpy(sample))
    expected = [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]
    names = [o.name for o in session.get_outputs()]
    found = session.run(None, {session.get_inputs()[0].name: sample})
    for name, a, b in zip(names, expected, found, strict=True):
        tolerance = BOX_TOLERANCE_PX if name == "boxes" else SCORE_TOLERANCE
        difference = float(np.abs(a - b).max())
        if a.shape != b.shape or difference > tolerance:
            raise ModelError(f"{name} of {folder.name}: ONNX Runtime and torch differ by {difference:g}")
    write_parity(folder / "parity.npz", sample, dict(zip(names, expected, strict=True)))
    return sum(p.numel() for p in graph.parameters())


def _drift(exact: Sequence[nn.Module], rounded: Sequence[nn.Module]) -> Drift:
    tile = torch.from_numpy(np.stack([f.pixels[:1000, :1000] for f in read_fields(data_root())[::4]]))
    windows = torch.from_numpy(
        np.stack([f.pixels[500:750, 250 * i : 250 * i + 250] for f in read_fields(data_root())[::4] for i in range(4)])
    )
    with torch.inference_mode():
        scores, again = exact[0](tile), rounded[0](tile)
        probabilities, repeated = exact[1](windows)[1], rounded[1](windows)[1]
        middles = torch.from_numpy(_middles(windows.numpy()))
        verified, again_verified = exact[2](middles), rounded[2](middles)
    difference = (scores - again).abs()
    return Drift(
        score_mean=float(difference.mean()),
        score_max=float(difference.max()),
        score_spread=float(scores.std()),
        probability_max=float((probabilities - repeated).abs().max()),
        verified_max=float((verified - again_verified).abs().max()),
    )
