"""`training export`: a run of one model class as a version folder that serving loads."""

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.datasets.store import Dataset
from serving.evaluation.threshold_rules import THRESHOLD_RULES
from serving.scoring.int8 import quantise_to_int8
from training.data.combined_stores import read_stores
from training.data.sub_tiles import make_sub_tiles
from training.export.onnx_files import export_det, export_regns, store_in_half
from training.export.onnx_graph import OnnxGraph, ValidationData
from training.export.parity import parity_tile, parity_windows, write_parity
from training.export.publishing import hashes, publish
from training.export.run_cards import ExportedRun, StorageDrift, detection_card, screening_card
from training.export.sub_tile_graphs import DetectorGraph, NetGraph
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet
from training.recipes.record import read_record
from training.recipes.runs import load_run
from training.recipes.sub_tiles import SubTileRecipe

Storage = Literal["fp32", "fp16", "int8"]
SCORE_TOLERANCE, BOX_TOLERANCE_PX = 1e-4, 0.05
"""Between torch and ONNX Runtime, in float32: see `release`."""
CALIBRATED = 8
"""Sub-tiles that one run of the calibration sees."""
DRIFT_WINDOWS = 128


def export_run(
    run: Path,
    data: Sequence[Path],
    target: Path,
    *,
    storage: Storage = "fp32",
    rule: str | None = None,
    recall: float = 0.95,
    say: Callable[[str], None] = print,
) -> ModelCard:
    """Write `target`, models/<name>/<version>, from a run and the pictures that it was validated on.

    The graph is exported in float32 and compared with torch; then stored as asked, and compared with float32 on
    validation sub-tiles, which the card states. The threshold is chosen on the stored graph's own output.

    rule : name of a threshold rule; by default `recall` for a screening model and the highest F1 for a detector
    recall : share of the positive validation sub-tiles that must pass a screening model

    Raises
    ------
    ModelError
        If ONNX Runtime and torch differ by more than the tolerances.
    FileExistsError
        If the version is there already: versions never change.
    ValueError
        If the data hold no picture that the run was validated on, or the version is not of the form 1.2.3.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", target.name):
        raise ValueError(f"{target}: give models/<name>/<version> with a version of the form 1.2.3")
    if target.exists():
        raise FileExistsError(f"{target} exists; versions never change, choose another")
    recipe, model = load_run(run)
    if not isinstance(recipe, SubTileRecipe):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe; `release` exports those")
    if rule is not None:
        _ = THRESHOLD_RULES[rule]
    validation = load_validation(run, recipe, read_stores(data))
    graph = DetectorGraph(model) if isinstance(model, SubTileDetector) else NetGraph(cast(SubTileNet, model))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "version"
        folder.mkdir()
        exact = Path(scratch) / "exact.onnx"
        _export(graph, exact, recipe.side)
        stored = OnnxGraph.load(_store(exact, folder / "model.onnx", storage, validation))
        drift = _drift(OnnxGraph.load(exact), stored, validation.windows(DRIFT_WINDOWS), storage)
        say(f"{storage}: {drift.words}")
        sample = parity_windows() if stored.detects else parity_tile()
        write_parity(folder / "parity.npz", sample, dict(zip(stored.outputs, stored.run(sample), strict=True)))
        parameters = sum(p.numel() for p in model.parameters())
        exported = ExportedRun(target.parent.name, target.name, recipe, run, parameters, drift, hashes(folder))
        make = detection_card if stored.detects else screening_card
        card = make(exported, stored, validation, rule=rule, recall=recall)
        publish(folder, target, card)
    say(f"wrote {target}")
    return card


def load_validation(run: Path, recipe: SubTileRecipe, dataset: Dataset) -> ValidationData:
    """The pictures that a run was validated on."""
    record = read_record(run)
    wanted = set() if record is None else set(record.validation)
    pictures = [p for p in dataset.pictures if p.labelled and p.patient in wanted]
    if not pictures:
        raise ValueError(f"{dataset.name} holds no picture that {run} was validated on: a threshold needs some")
    return ValidationData(
        f"validation patients of the run: {len({p.patient for p in pictures})} of {dataset.name}",
        make_sub_tiles(pictures, around_labels=recipe.around_labels),
        Path(dataset.root),
    )


def _export(graph: NetGraph | DetectorGraph, path: Path, side: int) -> None:
    """The graph in float32, checked against torch on the parity sample, together and one by one."""
    (export_det if isinstance(graph, DetectorGraph) else export_regns)(graph, path)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"window_px": "250", "resized_to_px": str(side)})
    onnx.save(model, path)
    loaded = OnnxGraph.load(path)
    sample = parity_windows() if loaded.detects else parity_tile()
    with torch.inference_mode():
        result = graph(torch.from_numpy(sample))
    expected = [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]
    alone = [loaded.run(sample[i : i + 1]) for i in range(len(sample))]
    joined = [np.concatenate(parts) for parts in zip(*alone, strict=True)]
    for how, found in (("a batch", loaded.run(sample)), ("single windows", joined)):
        for name, a, b in zip(loaded.outputs, expected, found, strict=True):
            tolerance = BOX_TOLERANCE_PX if name == "boxes" else SCORE_TOLERANCE
            difference = float(np.abs(a - np.asarray(b, np.float64)).max())
            if a.shape != b.shape or difference > tolerance:
                raise ModelError(f"{name}: ONNX Runtime and torch differ by {difference:g} on {how}")


def _store(exact: Path, target: Path, storage: Storage, validation: ValidationData) -> Path:
    if storage == "fp32":
        shutil.copyfile(exact, target)
    elif storage == "fp16":
        store_in_half(exact, target)
    else:
        # A window is a tile with one sub-tile, so both kinds of graph take it.
        windows = validation.windows(DRIFT_WINDOWS // 2)
        batches = [windows[start : start + CALIBRATED] for start in range(0, len(windows), CALIBRATED)]
        target.write_bytes(quantise_to_int8(exact, batches))
    return target


def _drift(exact: OnnxGraph, stored: OnnxGraph, windows: NDArray[np.uint8], storage: Storage) -> StorageDrift:
    before, after = exact.scores(windows), stored.scores(windows)
    difference = np.abs(before - after)
    return StorageDrift(storage, len(windows), float(difference.mean()), float(difference.max()), float(before.std()))
