"""`training evaluate`: a subject on the labelled pictures of a store, by sub-tiles and, with boxes, by whole pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.scoring.analysis import Options
from serving.scoring.detector import Detector
from serving.scoring.pipeline import score_slide
from serving.wsi.detections import Detections
from serving.wsi.slide import open_slide
from training.data.pixels import read_sub_tile
from training.data.samples import boxes_of
from training.data.store import Dataset, Picture, read_store
from training.data.sub_tiles import PositiveRule, SubTiles, positives, sub_tiles_of
from training.evaluation.as_served import LOWEST, found_in
from training.evaluation.detection_ap import ImageBoxes
from training.evaluation.drawing import save_drawn
from training.evaluation.figures import draw
from training.evaluation.html_report import write_html
from training.evaluation.lattice import LatticeScores
from training.evaluation.measuring import evaluate_found, evaluate_scores
from training.evaluation.metrics import Found, best_threshold
from training.evaluation.subjects import Subject, highest, subject_of
from training.evaluation.summary import DataCounts, DataDescription, EvaluationSummary
from training.recipes.runs import check_resolution

BATCH = 32
MPP = 0.25
"""um/px of a picture that states none."""


@dataclass(frozen=True, slots=True)
class SubTileResults:
    """scores : float32, (N,), of the sub-tiles of a table in their order; boxes : of each, None of a model without."""

    scores: NDArray[np.float32]
    boxes: list[Detections] | None


def evaluate(
    path: Path, data: Path, out: Path, *, rule: PositiveRule = "centre", say: Callable[[str], None] = print
) -> EvaluationSummary:
    """Judge what lies in `path` on the pictures of patients that it did not see.

    `out` then holds summary.json (of `EvaluationSummary`), report.html and each figure as SVG and PNG.

    Raises
    ------
    ValueError
        If no labelled picture is left to judge on, or one has another resolution than models are trained at.
    """
    subject, dataset = subject_of(path), read_store(data)
    check_resolution(dataset)
    pictures = [p for p in dataset.pictures if p.labelled and p.patient not in subject.patients]
    if not pictures:
        raise ValueError(f"{data} holds no labelled picture of a patient that {path} did not see")
    root, table = Path(dataset.root), sub_tiles_of(pictures)
    say(f"{len(table):,} sub-tiles of {len(pictures)} pictures")
    results = score_sub_tiles(subject, table, root)
    summary = _summary(subject, dataset, table, results, rule)
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.json").write_text(summary.model_dump_json(indent=1))
    write_html(summary, out / "report.html")
    for drawn in draw(summary):
        save_drawn(drawn, out)
    say(f"wrote {out / 'report.html'}")
    return summary


def score_sub_tiles(subject: Subject, table: SubTiles, root: Path) -> SubTileResults:
    """Scores, and boxes where the subject places any, of every sub-tile of a table."""
    scores: list[NDArray[np.float32]] = []
    boxes: list[Detections] = []
    for start in range(0, len(table), BATCH):
        windows = np.stack([read_sub_tile(root, table, i) for i in range(start, min(start + BATCH, len(table)))])
        found = [] if subject.detect is None else subject.detect(windows)
        boxes += found
        scores.append(highest(found) if subject.score is None else subject.score(windows))
    return SubTileResults(np.concatenate(scores), boxes if subject.detect is not None else None)


def find_in_pictures(detector: Detector, pictures: Sequence[Picture], root: Path) -> list[Found]:
    """Detections in whole pictures by serving's `score_slide`, down to a low probability, beside the truth."""
    found = []
    for picture in pictures:
        with open_slide(root / picture.path, name=picture.id) as slide:
            analysis = score_slide(slide, detector, Options(mpp=picture.mpp or slide.mpp or MPP, threshold=LOWEST))
        found.append(found_in(analysis.report, picture.boxes(), group=picture.slide))
    return found


def area_mm2(picture: Picture) -> float:
    """Area of a picture."""
    return picture.width * picture.height * ((picture.mpp or MPP) / 1000) ** 2


def _summary(
    subject: Subject,
    dataset: Dataset,
    table: SubTiles,
    results: SubTileResults,
    rule: PositiveRule,
) -> EvaluationSummary:
    lattice = LatticeScores(
        results.scores,
        positives(table, rule),
        np.asarray([table.pictures[i].slide for i in table.picture]),
        rule,
        subject.thresholds,
        subject.told_apart_at,
    )
    data = DataDescription(
        name=dataset.name,
        description=f"{len(table.pictures)} pictures, format {dataset.format}, licence {dataset.licence}",
        labels=f"as the store states them: {len(table.boxes)} mitotic figures, mean agreement "
        f"{float(table.agreement.mean()) if len(table.agreement) else float('nan'):.2f}",
        seen_in_training=subject.seen,
    )
    title = " and ".join(f"{m.name} {m.version}" for m in subject.models)
    if subject.whole is None or results.boxes is None:
        pictures = table.pictures
        counts = DataCounts(
            slides=len({p.slide for p in pictures}),
            fields=len(pictures),
            figures=len(table.boxes),
            area_mm2=sum(area_mm2(p) for p in pictures),
        )
        return evaluate_scores(lattice, counts=counts, data=data, models=subject.models, title=title)
    found = find_in_pictures(subject.whole, table.pictures, Path(dataset.root))
    threshold, how = _threshold(subject, found)
    return evaluate_found(
        found,
        lattice,
        areas_mm2=[area_mm2(p) for p in table.pictures],
        threshold=threshold,
        how_chosen=how,
        data=data,
        models=subject.models,
        title=title,
        images=[
            ImageBoxes(boxes.boxes, boxes.probabilities, boxes_of(table, index)[0])
            for index, boxes in enumerate(results.boxes)
        ],
        limits=["COCO's average precision is over sub-tiles, as the paper's; the other figures are of whole pictures."],
    )


def _threshold(subject: Subject, found: Sequence[Found]) -> tuple[float, str]:
    if subject.detection_threshold is not None:
        return subject.detection_threshold, "the model card's"
    if not any(len(f.probabilities) for f in found):
        return 0.5, "given: nothing was detected that a threshold could be chosen on"
    return best_threshold(found), "highest F1 on these very pictures, so that precision, recall and F1 are optimistic"
