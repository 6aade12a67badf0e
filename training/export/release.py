"""A release: a version folder for each model, with weights, card and parity sample, written only when every check passes."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from serving.wsi.errors import ModelError
from training.data.fields import read_fields
from training.data.store import Dataset
from training.evaluation.leave_one_slide_out import Evaluation, SlideResult
from training.export.cards import Drift, Origin, det_card, regns_card, verifier_card
from training.export.drafts import graphs_of
from training.export.onnx_files import export_det, export_regns, export_verifier, store_in_half
from training.export.parity import parity_tile, parity_windows, write_parity
from training.export.publishing import hashes, publish

SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE_PX = 0.05
"""Far below the 0.3 px at which the IoU of a 30 px box falls under 0.99."""
TILE_PX = 1000


def release(
    cascade: Path,
    verifiers: Sequence[Path],
    evaluation_file: Path,
    dataset: Dataset,
    *,
    screener: Path | None = None,
    models: Path,
    version: str,
    say: Callable[[str], None] = print,
) -> None:
    """Write `models`/<name>/`version` for Reg-NS, Det and the verifier.

    Weights are rounded to half precision, exported in float32 arithmetic, compared with torch, stored, loaded again and
    compared again. Nothing is left behind when a check fails.

    cascade : run of a cascade recipe; verifiers : of verifier recipes, one net each; screener : of a screening recipe, if
        it has one. The cards state what these runs state of themselves
    dataset : labelled fields, on which the rounding is measured

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
    exact, rounded = (graphs_of(cascade, verifiers, screener) for _ in range(2))
    for graph in rounded:
        _round(graph)
    window_px = int(exact[2].window_px)
    drift = _drift(exact, rounded, dataset)
    say(f"half precision: {drift}")
    steps = (
        ("reg-ns", export_regns, parity_tile(), regns_card),
        ("det", export_det, parity_windows(), det_card),
        ("verifier", export_verifier, _middles(parity_windows(), window_px), verifier_card),
    )
    runs = [cascade, *verifiers, *([screener] if screener else [])]
    origin = Origin.of(runs, window_px)
    with tempfile.TemporaryDirectory() as scratch:
        for (name, export, sample, card), graph in zip(steps, rounded, strict=True):
            folder = Path(scratch) / name
            parameters = _write(folder, graph, export, sample)
            publish(
                folder,
                models / name / version,
                card(version, evaluation, origin, drift, parameters=parameters, files=hashes(folder)),
            )


def _middles(windows: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    edge = (windows.shape[1] - side) // 2
    return np.ascontiguousarray(windows[:, edge : edge + side, edge : edge + side])


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


def _drift(exact: Sequence[Any], rounded: Sequence[nn.Module], dataset: Dataset) -> Drift:
    labelled = [p for p in dataset if p.labelled and min(p.width, p.height) >= TILE_PX]
    if not labelled:
        raise ValueError(f"{dataset.name} holds no labelled picture of {TILE_PX} px to measure the rounding on")
    every = max(len(labelled) // 3, 1)
    fields = read_fields(labelled[::every][:3], Path(dataset.root), least_px=TILE_PX)
    tile = torch.from_numpy(np.stack([f.pixels[:TILE_PX, :TILE_PX] for f in fields]))
    windows = torch.from_numpy(
        np.stack([f.pixels[500:750, 250 * i : 250 * i + 250] for f in fields for i in range(TILE_PX // 250)])
    )
    middles = torch.from_numpy(_middles(windows.numpy(), int(exact[2].window_px)))
    with torch.inference_mode():
        scores, again = exact[0](tile), rounded[0](tile)
        probabilities, repeated = exact[1](windows)[1], rounded[1](windows)[1]
        verified, again_verified = exact[2](middles), rounded[2](middles)
    difference = (scores - again).abs()
    return Drift(
        score_mean=float(difference.mean()),
        score_max=float(difference.max()),
        score_spread=float(scores.std()),
        probability_max=float((probabilities - repeated).abs().max()),
        verified_max=float((verified - again_verified).abs().max()),
    )
