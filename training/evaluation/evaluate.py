"""`training evaluate`: a subject on the labelled pictures of a store, by sub-tiles and, with boxes, by whole pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.datasets.store import Dataset, Picture
from serving.evaluation.metrics import FieldDetections
from serving.evaluation.ranking import rank
from serving.evaluation.threshold_rules import THRESHOLD_RULES
from training.data.combined_stores import read_stores
from training.data.fields import MPP
from training.data.samples import find_boxes
from training.data.sub_tiles import PositiveRule, SubTileTable, make_sub_tiles, positives, read_sub_tile
from training.evaluation.detection_ap import ImageBoxes
from training.evaluation.drawing import save_drawn
from training.evaluation.figures import draw
from training.evaluation.html_report import write_html
from training.evaluation.lattice import LatticeScores
from training.evaluation.measure import evaluate_found, evaluate_scores
from training.evaluation.served_analysis import detect_in_picture
from training.evaluation.subjects import Subject, highest, load_subject
from training.evaluation.summary import DataCounts, DataDescription, EvaluationSummary
from training.recipes.runs import check_resolution

BATCH = 32


@dataclass(frozen=True, slots=True)
class SubTileResults:
    """scores : float32, (N,), of the sub-tiles of a table in their order; boxes : of each, None of a model without."""

    scores: NDArray[np.float32]
    boxes: list[Detections] | None


def evaluate(
    path: Path, data: Sequence[Path], out: Path, *, rule: PositiveRule = "centre", say: Callable[[str], None] = print
) -> EvaluationSummary:
    """Judge what lies in `path` on the pictures of patients that it did not see.

    `out` then holds summary.json (of `EvaluationSummary`), report.html and each figure as SVG and PNG.

    Raises
    ------
    ValueError
        If no labelled picture is left to judge on, or one has another resolution than models are trained at.
    """
    subject, dataset = load_subject(path), read_stores(data)
    check_resolution(dataset)
    pictures = [p for p in dataset.pictures if p.labelled and p.patient not in subject.patients]
    if not pictures:
        raise ValueError(f"{dataset.name} holds no labelled picture of a patient that {path} did not see")
    root, table = Path(dataset.root), make_sub_tiles(pictures)
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


def score_sub_tiles(subject: Subject, table: SubTileTable, root: Path) -> SubTileResults:
    """Scores, and boxes where the subject places any, of every sub-tile of a table."""
    scores: list[NDArray[np.float32]] = []
    boxes: list[Detections] = []
    for start in range(0, len(table), BATCH):
        windows = np.stack([read_sub_tile(root, table, i) for i in range(start, min(start + BATCH, len(table)))])
        found = [] if subject.detect is None else subject.detect(windows)
        boxes += found
        scores.append(highest(found) if subject.score is None else subject.score(windows))
    return SubTileResults(np.concatenate(scores), boxes if subject.detect is not None else None)


def area_mm2(picture: Picture) -> float:
    """Area of a picture."""
    return picture.width * picture.height * ((picture.mpp or MPP) / 1000) ** 2


def _summary(
    subject: Subject,
    dataset: Dataset,
    table: SubTileTable,
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
    found = [detect_in_picture(subject.whole, picture, Path(dataset.root)) for picture in table.pictures]
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
            ImageBoxes(boxes.boxes, boxes.probabilities, find_boxes(table, index)[0])
            for index, boxes in enumerate(results.boxes)
        ],
        limits=["COCO's average precision is over sub-tiles, as the paper's; the other figures are of whole pictures."],
    )


def _threshold(subject: Subject, found: Sequence[FieldDetections]) -> tuple[float, str]:
    if subject.detection_threshold is not None:
        return subject.detection_threshold, "the cascade's: that of the card of the model that speaks last"
    if not any(len(f.probabilities) for f in found):
        return 0.5, "given: nothing was detected that a threshold could be chosen on"
    return THRESHOLD_RULES["best-f1"](
        rank(found)
    ), "highest F1 on these very pictures, so that precision, recall and F1 are optimistic"
