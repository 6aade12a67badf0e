"""A version of the triage net, with the card of what it was judged by."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.card_parts import TriageThreshold
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.core.modelinput import ModelInput
from serving.core.words import RESEARCH_USE
from serving.datasets.store import Dataset
from training.evaluation.mode_comparison import ModeComparison
from training.evaluation.triage import TriageFigures, TriageJudgement
from training.export.graphs import TriageGraph
from training.export.onnx_files import export_triage
from training.export.origins import data_of_runs
from training.export.parity import parity_tile
from training.export.publishing import check_version_number, hashes, publish
from training.export.rounding import RoundingDrift, Samples, fold_norms, measure_drift, round_to_half
from training.export.version_files import write_graph
from training.models.triage import CELL_PX, TriageNet
from training.recipes.reading import read_recipe
from training.recipes.record import read_record
from training.recipes.runs import load_run

NAME = "triage"
MOST_DRIFT = 0.02
"""Of a probability, by rounding weights to half precision: far more than that moves one, far less than a wrong graph does."""


def release_triage(
    run: Path,
    judgement: TriageJudgement,
    *,
    version: str,
    models: Path,
    comparison: ModeComparison | None = None,
    dataset: Dataset | None = None,
    say: Callable[[str], None] = print,
) -> ModelCard:
    """Write `models`/triage/`version` from a run of the triage recipe.

    Parameters
    ----------
    run
        Whose weights are released; rounded to half precision.
    judgement
        Of runs of the same recipe, each on patients that it never saw. Its threshold and figures go into the card.
    comparison
        Of both modes of a cascade, by the same runs; its figures go into the card.
    dataset
        Labelled pictures, on which the rounding is measured; by default generated tissue.

    Raises
    ------
    ValueError
        If the run is of another recipe, does not state what it learnt from, or the version is not of the form 1.2.3.
    ModelError
        If ONNX Runtime and torch differ by more than the tolerances, or half precision by more than `MOST_DRIFT`.
    FileExistsError
        If the version is there already: versions never change.
    """
    check_version_number(version)
    recipe, net = load_run(run)
    if not isinstance(net, TriageNet):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe; give the run of a triage recipe")
    if read_record(run) is None:
        raise ValueError(f"{run} does not state in run.json what it learnt from; train it again")
    graph = TriageGraph(net)
    half = round_to_half(fold_norms(graph))
    samples = Samples.from_dataset(dataset)
    drift = measure_drift(graph, half, _whole_cells(samples.tiles), samples.where)
    if drift.largest > MOST_DRIFT:
        raise ModelError(f"in half precision probabilities move by {drift.largest:.3f}, more than {MOST_DRIFT}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        parameters = write_graph(folder, half, export_triage, _whole_cells(parity_tile()))
        card = _card(
            run, judgement, comparison, version=version, parameters=parameters, drift=drift, files=hashes(folder)
        )
        publish(folder, models / NAME / version, card)
    say(f"wrote {models / NAME / version}: {card.weights}")
    return card


def _whole_cells(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles, uint8, (N, H, W, 3), cut to whole cells."""
    rows, columns = (side // CELL_PX * CELL_PX for side in tiles.shape[1:3])
    return np.ascontiguousarray(tiles[:, :rows, :columns])


def _card(
    run: Path,
    judgement: TriageJudgement,
    comparison: ModeComparison | None,
    *,
    version: str,
    parameters: int,
    drift: RoundingDrift,
    files: dict[str, str],
) -> ModelCard:
    pooled = judgement.sources[0]
    return ModelCard(
        schema_version="1.0",
        name=NAME,
        version=version,
        task="triage",
        architecture=f"{read_recipe(run).backbone} up to stride 16 over 2 x 2 averaged px, two 1 x 1 convolutions; fully convolutional",
        input=ModelInput(
            window_px=CELL_PX,
            stride_px=CELL_PX,
            mpp=0.25,
            layout="tiles: uint8 (N, H, W, 3) RGB, H and W multiples of 32",
        ),
        output="probabilities: float32 (N, H / 32, W / 32), that a mitotic figure's centre lies in the cell; not calibrated",
        weights=f"float16 behind a cast, float32 arithmetic; against float32 weights on {drift.where} probabilities move by "
        f"{drift.mean:.1e} on average and {drift.largest:.1e} at most",
        parameters=parameters,
        triage_threshold=TriageThreshold(
            probability=judgement.threshold,
            how_chosen=f"the highest that keeps {judgement.wanted:.1%} of the figures{_finders(judgement)}, each judged by a net that "
            "never saw its patient",
            data=", ".join(source.source for source in judgement.sources[1:]),
            achieved=f"thresholds of the other folds kept {_kept(pooled)} and chose {pooled.chosen.words} of the sub-tiles",
        ),
        data=data_of_runs([run]),
        evaluation=f"{judgement.how}. The released weights are those of a net that learnt from all of these patients; the figures "
        f"are of the folds' nets.{_compare(comparison)}",
        per_slide=[],
        figures={name: value for source in judgement.sources for name, value in _figures(source)},
        limits=[
            "The judged tissue was chosen for its figures; in ordinary tissue fewer sub-tiles are chosen.",
            "A figure in a sub-tile that is not chosen is lost to the rest of the cascade: `cascade=exact` looks everywhere.",
        ],
        research_use=RESEARCH_USE,
        files=files,
    )


def _finders(judgement: TriageJudgement) -> str:
    """Whose figures the threshold keeps, behind the word; empty where all are meant."""
    return f" that {', '.join(judgement.finders)} find in the exact mode" if judgement.finders else ""


def _kept(source: TriageFigures) -> str:
    """What the thresholds keep, of all figures and of those that a cascade finds."""
    of_all = f"{source.kept.words} of {source.figures} figures"
    return (
        of_all if source.found_kept is None else f"{of_all}, {source.found_kept.words} of {source.found} that are found"
    )


def _compare(comparison: ModeComparison | None) -> str:
    """What both modes of a cascade found, in sentences behind others; empty where they were not compared."""
    if comparison is None:
        return ""
    found = "; ".join(
        f"{s.source}: {s.kept.words} of {s.found_exact} figures, F1 {s.f1_exact:.3f} exactly and {s.f1_fast:.3f} fast, change "
        f"{s.difference.words}"
        for s in comparison.sources
    )
    return (
        f" Of the figures that {', '.join(comparison.models)} find in the exact mode, the fast mode keeps, {found}. There "
        f"{comparison.how}; the cascade may have learnt from these pictures."
    )


def _figures(source: TriageFigures) -> list[tuple[str, float | str]]:
    name = source.source.replace("-", "_")
    found = [] if source.found_kept is None else [(f"{name}_found_kept", source.found_kept.words)]
    return [
        (f"{name}_figures_kept", source.kept.words),
        *found,
        (f"{name}_sub_tiles_chosen", source.chosen.words),
    ]
