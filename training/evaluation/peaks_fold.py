"""Peaks of a light net's map as the detections of a fold: a detector of its own, to be judged beside a cascade."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from serving.core.geometry import Region, WorkFrame
from serving.datasets.pictures import open_picture
from serving.datasets.store import Dataset, Picture
from serving.scoring.candidates import find_peaks
from serving.scoring.matching import MATCH_RADIUS_UM
from serving.scoring.reading import read_mirrored
from training.evaluation.fold_detections import FoldDetections, PictureDetections, check_judged
from training.evaluation.served_analysis import LOWEST
from training.evaluation.triage import LATTICE
from training.export.graphs import TriageGraph
from training.models.triage import CELL_PX, TriageNet


def detect_peaks(
    net: nn.Module,
    stores: Sequence[Dataset],
    patients: Iterable[str],
    *,
    fold: str,
    seen: Iterable[str],
    say: Callable[[str], None] = print,
) -> FoldDetections:
    """The peaks of a triage net's map in the labelled pictures of patients, down to probability `LOWEST`.

    Parameters
    ----------
    net : of a finished run of a triage recipe; see `load_run`
    seen : patients that took any part in the weights

    Raises
    ------
    ValueError
        If the net is another one, its weights saw one of the patients, or a patient has no labelled picture, or one that states no
        resolution.
    MitoserveError
        If a picture does not open.
    """
    if not isinstance(net, TriageNet):
        raise ValueError("the run is of another recipe; give a run of a triage recipe")
    wanted = set(patients)
    result = FoldDetections(
        fold=fold, seen=sorted(set(seen)), models=[f"peaks of a triage net of {CELL_PX} px"], pictures=[]
    )
    check_judged(result, stores, wanted)
    graph = TriageGraph(net).to(memory_format=torch.channels_last)
    for store in stores:
        for picture in (p for p in store if p.labelled and p.patient in wanted):
            rows = _find_peaks(graph, picture, Path(store.root))
            result.pictures.append(PictureDetections(dataset=store.name, picture=picture.id, detections=rows))
            say(f"{picture.id}: {len(rows)} peaks, {len(picture.boxes())} figures")
    return result


@torch.inference_mode()
def _find_peaks(graph: nn.Module, picture: Picture, root: Path) -> list[tuple[float, float, float]]:
    """(x, y, probability) of the peaks in a picture, level-0 px."""
    if picture.mpp is None:
        raise ValueError(f"picture {picture.id} states no resolution: import it again with --mpp or --mpp-of")
    frame = WorkFrame.from_mpp(picture.mpp, LATTICE.mpp)
    with open_picture(root / picture.path) as slide:
        width, height = frame.size_to_work(slide.width, slide.height)
        across, down = (-(-side // CELL_PX) * CELL_PX for side in (width, height))
        pixels = read_mirrored(slide, frame, Region(0, 0, across, down))
    cells: NDArray[np.float32] = graph(torch.from_numpy(pixels[None]))[0].numpy()
    middles, values = find_peaks(cells, LOWEST, MATCH_RADIUS_UM / LATTICE.mpp / CELL_PX)
    places = centre_peaks(cells, middles) * CELL_PX
    inside = (places < (width, height)).all(1)
    rows = np.column_stack([places[inside] * frame.scale, values[inside]])
    return [(float(x), float(y), float(p)) for x, y, p in rows]


def centre_peaks(cells: NDArray[np.float32], middles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Peaks moved to where the cells around them lie by their probabilities, float64, (N, 2), (x, y) in cells.

    cells : float32, (rows, columns). middles : float64, (N, 2), (x, y) in cells
    """
    padded = np.pad(cells, 1).astype(np.float64)
    moved = middles.copy()
    steps = np.arange(3) - 1.0
    for i, (column, row) in enumerate(np.floor(middles).astype(np.intp)):
        around = padded[row : row + 3, column : column + 3]
        moved[i] += (around.sum(0) @ steps, around.sum(1) @ steps) / around.sum()
    return moved
