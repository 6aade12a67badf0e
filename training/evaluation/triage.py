"""The triage net, judged on patients that it never saw: how many figures stay where the cascade looks, and how much that is."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from serving.core.geometry import Region, WorkFrame
from serving.core.modelinput import ModelInput
from serving.core.words import RESEARCH_USE
from serving.datasets.pictures import open_picture
from serving.datasets.store import Dataset, Picture
from serving.evaluation.bootstrap import bootstrap_interval
from serving.scoring.merging import EDGE_MARGIN_UM
from serving.scoring.reading import read_mirrored
from serving.scoring.triage import pad_to_cells, take_middles
from training.evaluation.found_figures import FoundFigures
from training.evaluation.summary import Measured, Part
from training.export.graphs import TriageGraph
from training.models.triage import CELL_PX, TriageNet
from training.recipes.record import read_record
from training.recipes.runs import load_run

KEPT = 0.99
"""Share of the figures of other groups that a threshold keeps."""
LATTICE = ModelInput(window_px=250, stride_px=125, mpp=0.25, layout="sub-tiles of Reg-NS")
"""What Reg-NS is fed: the sub-tiles among which triage chooses."""
_CURVE = np.geomspace(0.002, 0.95, 80)


class TriageFigures(Part):
    """What was measured on the pictures of one source, or of all."""

    source: str
    pictures: int
    figures: int
    mm2: float
    kept: Measured = Field(description="Share of the figures that some chosen sub-tile shows well.")
    found: int = Field(
        default=0, description="Figures that the cascade finds where it looks everywhere, where that is known."
    )
    found_kept: Measured | None = Field(
        default=None, description="Share of those that some chosen sub-tile shows well."
    )
    chosen: Measured = Field(description="Share of the sub-tiles that are chosen.")


class TriagePoint(Part):
    """One threshold on the curve, of all judged pictures: each by the net that never saw its patient."""

    probability: float
    kept: float
    found_kept: float | None = Field(
        default=None,
        description="Share of the figures that the cascade finds where it looks everywhere; null where not known.",
    )
    chosen: float


class TriageJudgement(Part):
    """Pictures judged by nets that saw none of their patients; each fold's threshold comes from the other folds."""

    schema_version: str = "1.0"
    folds: list[str]
    thresholds: list[float] = Field(
        description="Of each fold: the highest at which the stated share of the others' figures stays."
    )
    wanted: float = Field(description="Share of the other folds' figures that a threshold keeps.")
    finders: list[str] = Field(
        default=[], description="Models of the cascade whose figures those are; none where all labelled ones are meant."
    )
    sources: list[TriageFigures]
    curve: list[TriagePoint]
    threshold: float = Field(description="By the same rule over all folds, for a net that learnt from all.")
    how: str
    research_use: str = RESEARCH_USE


@dataclass(frozen=True, slots=True)
class TriagedPicture:
    """What a net says of a picture that it never saw.

    sub_tiles : float32, (N,), the probability by which each sub-tile of the labelled tissue would be chosen
    figures : float32, (M,), of each figure the highest probability among the sub-tiles that show it well
    mm2 : labelled tissue
    found : int64, (F,), indices of the figures that a cascade finds where it looks everywhere; None where that is not known
    """

    source: str
    patient: str
    fold: int
    sub_tiles: NDArray[np.float32]
    figures: NDArray[np.float32]
    mm2: float
    found: NDArray[np.int64] | None = None

    @property
    def found_figures(self) -> NDArray[np.float32]:
        """Of `figures` those that the cascade finds; none where that is not known."""
        return self.figures[:0] if self.found is None else self.figures[self.found]


def judge_triage(
    runs: Sequence[Path],
    stores: Sequence[Dataset],
    *,
    wanted: float = KEPT,
    found: FoundFigures | None = None,
    draws: int = 2000,
    say: Callable[[str], None] = print,
) -> TriageJudgement:
    """Judge runs of a triage recipe, each on the labelled pictures of the patients that it never saw.

    wanted : share of the figures that thresholds keep. found : what a cascade finds in some of the pictures; thresholds keep the share
        of those, and of all labelled figures without it

    Raises
    ------
    ValueError
        If a run is of another kind of recipe or does not state whom it saw, a patient is left out by no run or by two, or there
        are fewer than two folds with figures.
    """
    if len(runs) < 2:
        raise ValueError("give at least two runs: the threshold of one fold comes from the others")
    pictures = triage_pictures(runs, stores, found, say)
    folds = [[p for p in pictures if p.fold == fold] for fold in range(len(runs))]
    meant = [
        np.concatenate([np.empty(0, np.float32), *(p.figures if found is None else p.found_figures for p in fold)])
        for fold in folds
    ]
    if sum(len(figures) > 0 for figures in meant) < 2:
        raise ValueError("fewer than two folds hold figures: the threshold of one comes from the others")
    others = [np.concatenate(meant[:fold] + meant[fold + 1 :]) for fold in range(len(runs))]
    thresholds = [choose_threshold(figures, wanted=wanted) for figures in others]
    sources = ["all", *sorted({p.source for p in pictures})]
    return TriageJudgement(
        folds=[run.name for run in runs],
        thresholds=thresholds,
        wanted=wanted,
        finders=[] if found is None else found.models,
        sources=[_figures(s, [p for p in pictures if s in ("all", p.source)], thresholds, draws) for s in sources],
        curve=[_point(pictures, probability) for probability in _CURVE.tolist()],
        threshold=choose_threshold(np.concatenate(meant), wanted=wanted),
        how="each picture by a net that saw none of its patient's, at the threshold of the other folds; a figure is kept where a "
        f"chosen sub-tile shows its centre {EDGE_MARGIN_UM:g} um inside; intervals draw patients"
        + ("" if found is None else f"; found figures: {found.how}"),
    )


def triage_pictures(
    runs: Sequence[Path],
    stores: Sequence[Dataset],
    known: FoundFigures | None = None,
    say: Callable[[str], None] = print,
) -> list[TriagedPicture]:
    """What each run says of the labelled pictures that it never saw; errors as `judge_triage`.

    known : which figures a cascade finds
    """
    found: list[TriagedPicture] = []
    judged: set[str] = set()
    for fold, run in enumerate(runs):
        recipe, net = load_run(run)
        record = read_record(run)
        if not isinstance(net, TriageNet):
            raise ValueError(f"{run} is a run of a {recipe.kind} recipe; give runs of a triage recipe")
        if record is None:
            raise ValueError(f"{run} does not state in run.json what it learnt from; train it again")
        unseen = {p.patient for store in stores for p in store if p.labelled and p.patient not in record.seen}
        if twice := judged & unseen:
            raise ValueError(f"patient {sorted(twice)[0]} is left out by two runs: each is judged by one")
        judged |= unseen
        graph = TriageGraph(net).to(memory_format=torch.channels_last)
        for store in stores:
            for picture in (p for p in store if p.labelled and p.patient in unseen):
                of_picture = None if known is None else known.find(store, picture)
                triaged = _triage(graph, picture, store, fold)
                found.append(
                    triaged if of_picture is None else replace(triaged, found=np.asarray(of_picture.found, np.int64))
                )
        say(f"{run}: {sum(p.fold == fold for p in found)} pictures of {len(unseen)} patients")
    missing = {p.patient for store in stores for p in store if p.labelled} - judged
    if missing:
        raise ValueError(f"patient {sorted(missing)[0]} was seen by every run: leave it out of one (--test-patients)")
    return found


def choose_threshold(figures: NDArray[np.float32], *, wanted: float) -> float:
    """The highest threshold, of those that the figures themselves have, at which the share `wanted` of them stays.

    figures : float32, (N,), the probability of each
    """
    figures = np.sort(figures)
    stay = max(math.ceil(wanted * len(figures) - 1e-9), 1)  # a share such as .9 is no binary number
    return float(figures[len(figures) - stay])


@torch.inference_mode()
def _triage(graph: nn.Module, picture: Picture, store: Dataset, fold: int) -> TriagedPicture:
    """As serving shows a picture: mirrored beyond its edges, in whole strides."""
    stride, window = LATTICE.stride_px, LATTICE.window_px
    if picture.mpp is None:
        raise ValueError(f"picture {picture.id} states no resolution: import it again with --mpp or --mpp-of")
    frame = WorkFrame.from_mpp(picture.mpp, LATTICE.mpp)
    with open_picture(Path(store.root) / picture.path) as slide:
        width, height = frame.size_to_work(slide.width, slide.height)
        across, down = (-(-side // stride) * stride + 2 * stride for side in (width, height))
        pixels = read_mirrored(slide, frame, Region(-stride, -stride, across, down))
    probabilities = graph(torch.from_numpy(pad_to_cells(pixels[None], CELL_PX))).numpy()
    by_sub_tile = take_middles(probabilities, CELL_PX, (down, across), LATTICE)[0]
    rows, columns = np.mgrid[: by_sub_tile.shape[0], : by_sub_tile.shape[1]]
    # Middles of sub-tiles, work px of the picture.
    middles = np.stack([columns, rows], -1).reshape(-1, 2) * stride - stride + window / 2
    boxes = picture.boxes() / np.float32(frame.scale)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    reach = window / 2 - EDGE_MARGIN_UM / LATTICE.mpp
    shown = (np.abs(centres[:, None] - middles[None]) <= reach).all(-1)
    flat = by_sub_tile.reshape(-1)
    inside = (
        (middles >= 0).all(1) & (middles < (width, height)).all(1) & ~_hold(picture.unlabelled_areas, middles, frame)
    )
    return TriagedPicture(
        source=store.name,
        patient=picture.patient,
        fold=fold,
        sub_tiles=flat[inside],
        figures=np.where(shown, flat[None], 0).max(1, initial=0).astype(np.float32),
        mm2=_measure_labelled(picture) * (picture.mpp / 1000) ** 2,
    )


def _measure_labelled(picture: Picture) -> float:
    """Px of a picture in which figures are labelled; areas where they are not do not overlap."""
    return picture.width * picture.height - sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in picture.unlabelled_areas)


def _hold(areas: Iterable[Sequence[float]], points: NDArray[np.float64], frame: WorkFrame) -> NDArray[np.bool_]:
    """Which points, work px, lie in one of the areas, xyxy, level-0 px."""
    held = np.zeros(len(points), np.bool_)
    for area in areas:
        x1, y1, x2, y2 = (side / frame.scale for side in area)
        held |= (points >= (x1, y1)).all(1) & (points < (x2, y2)).all(1)
    return held


def _figures(source: str, pictures: Sequence[TriagedPicture], thresholds: Sequence[float], draws: int) -> TriageFigures:
    patients = [[p for p in pictures if p.patient == name] for name in sorted({p.patient for p in pictures})]

    def measure(statistic: Callable[[Sequence[TriagedPicture], Sequence[float]], float]) -> Measured:
        def of_patients(drawn: Sequence[Sequence[TriagedPicture]]) -> float:
            chosen = [p for patient in drawn for p in patient]
            return statistic(chosen, [thresholds[p.fold] for p in chosen])

        return Measured.model_validate(
            bootstrap_interval(patients, of_patients, unit="patients", draws=draws), from_attributes=True
        )

    return TriageFigures(
        source=source,
        pictures=len(pictures),
        figures=sum(len(p.figures) for p in pictures),
        mm2=round(sum(p.mm2 for p in pictures), 4),
        kept=measure(lambda some, at: _share([p.figures >= t for p, t in zip(some, at, strict=True)])),
        chosen=measure(lambda some, at: _share([p.sub_tiles >= t for p, t in zip(some, at, strict=True)])),
        found=sum(len(p.found_figures) for p in pictures),
        found_kept=measure(lambda some, at: _share([p.found_figures >= t for p, t in zip(some, at, strict=True)]))
        if any(len(p.found_figures) for p in pictures)
        else None,
    )


def _point(pictures: Sequence[TriagedPicture], threshold: float) -> TriagePoint:
    found = [p.found_figures >= threshold for p in pictures]
    return TriagePoint(
        probability=threshold,
        kept=_share([p.figures >= threshold for p in pictures]),
        found_kept=_share(found) if any(len(of_picture) for of_picture in found) else None,
        chosen=_share([p.sub_tiles >= threshold for p in pictures]),
    )


def _share(parts: Sequence[NDArray[np.bool_]]) -> float:
    whole = np.concatenate(parts) if parts else np.zeros(0, np.bool_)
    return float(whole.mean()) if len(whole) else float("nan")
