"""From the boxes that labelers drew to the figures that they agree on, of one tile and of all."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from serving.datasets.store import Annotation, Box, Dataset, Picture, Vote, make_box
from training.labels.records import BoxesRecord, Group, Record


@dataclass(frozen=True, slots=True)
class Rule:
    """When a tile counts as labelled, and a place that somebody boxed as a mitotic figure.

    group : whose records count
    min_reviewers : labelers who must have looked at the tile; with fewer it counts as unlabelled
    min_labelers : of them, how many must have boxed the place
    above_share : the share of the reviewers that must have boxed it, exceeded
    above_iou : boxes whose intersection over union exceeds this mean one place; 0: any overlap
    """

    group: Group
    min_reviewers: int
    min_labelers: int
    above_share: float
    above_iou: float = 0.0

    def __post_init__(self) -> None:
        if self.min_reviewers < 1 or self.min_labelers < 1:
            raise ValueError("a rule needs at least one reviewer and one labeler")
        if not 0 <= self.above_share < 1 or not 0 <= self.above_iou < 1:
            raise ValueError("shares and overlaps to exceed are from 0 to below 1")


CROWD = Rule("crowd", min_reviewers=5, min_labelers=2, above_share=0.0)
"""At least five reviewed the tile, at least two of them placed overlapping boxes (paper, Section 3.1)."""
EXPERT = Rule("expert", min_reviewers=1, min_labelers=1, above_share=0.5)
"""The majority of those who looked (paper, Section 3.1, which names no least number of them)."""
RULES = {"crowd": CROWD, "expert": EXPERT}


def label_tile(tile: Picture, looks: Sequence[BoxesRecord], rule: Rule) -> Picture:
    """The tile with the figures that the rule keeps; whatever labels it had are replaced.

    Boxes that share a place are found by overlap, chains of overlapping boxes being one place. A figure's box is the
    mean of its labelers' boxes, which is the mean of [x1, y1, w, h] too; a labeler who drew several there counts once,
    with the mean of them. Its agreement is the share of the tile's reviewers who boxed it. Places that the rule does
    not keep become ambiguous areas. The order of `looks` changes nothing.

    looks : of this tile, by labelers who differ; boxes are cut at the tile's edges
    """
    looks = sorted((look for look in looks if look.group == rule.group), key=lambda look: look.labeler)
    if len(looks) < rule.min_reviewers:
        return tile.model_copy(update={"labelled": False, "annotations": (), "ambiguous_areas": ()})
    figures, ambiguous = [], []
    for place in _places(tile, looks, rule.above_iou):
        agreement = len(place) / len(looks)
        box = make_box(np.mean([np.mean(boxes, axis=0) for boxes in place.values()], axis=0))
        if len(place) >= rule.min_labelers and agreement > rule.above_share:
            votes = tuple(Vote(rater=look.labeler, mitotic=look.labeler in place) for look in looks)
            figures.append(Annotation(box=box, label="mitotic figure", agreement=agreement, votes=votes))
        else:
            ambiguous.append(box)
    return tile.model_copy(
        update={
            "labelled": True,
            "annotations": tuple(sorted(figures, key=lambda figure: figure.box)),
            "ambiguous_areas": tuple(sorted(ambiguous)),
        }
    )


def _places(tile: Picture, looks: Sequence[BoxesRecord], above_iou: float) -> list[dict[str, list[Box]]]:
    """The boxes of each place by labeler."""
    drawn = sorted((box, look.labeler) for look in looks for box in _cut(tile, look.boxes))
    if not drawn:
        return []
    count, place_of = connected_components(
        _link_boxes(np.asarray([box for box, _ in drawn]), above_iou), directed=False
    )
    places: list[dict[str, list[Box]]] = [defaultdict(list) for _ in range(count)]
    for (box, labeler), place in zip(drawn, place_of, strict=True):
        places[place][labeler].append(box)
    return places


def _cut(tile: Picture, boxes: Sequence[Box]) -> list[Box]:
    size = (tile.width, tile.height) * 2
    cut = [tuple(min(max(v, 0.0), float(most)) for v, most in zip(box, size, strict=True)) for box in boxes]
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in cut if x2 > x1 and y2 > y1]


def _link_boxes(boxes: NDArray[np.float64], above_iou: float) -> csr_array:
    """Pairs of boxes (N, 4), xyxy, ascending in x1, whose intersection over union exceeds a value: sparse, (N, N)."""
    first, second = [], []
    behind = np.searchsorted(boxes[:, 0], boxes[:, 2])
    for number, box in enumerate(boxes):
        joined = np.flatnonzero(_iou(box, boxes[number : behind[number]]) > above_iou) + number
        first.append(np.full(len(joined), number))
        second.append(joined)
    rows, columns = np.concatenate(first), np.concatenate(second)
    return csr_array((np.ones(len(rows), np.bool_), (rows, columns)), shape=(len(boxes), len(boxes)))


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a box (4,) with others (M, 4) -> (M,)."""
    common = (np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])).clip(0).prod(1)
    area = (others[:, 2:] - others[:, :2]).prod(1)
    return np.asarray(common / ((box[2:] - box[:2]).prod() + area - common))


def aggregate(tiles: Dataset, records: Sequence[Record], rule: Rule) -> Dataset:
    """The tiles with the figures that the rule's group agrees on; tiles that too few reviewed become unlabelled.

    Raises
    ------
    ValueError
        If no record holds boxes of that group on these tiles.
    """
    looks = defaultdict(list)
    for record in records:
        if isinstance(record, BoxesRecord) and record.group == rule.group:
            looks[record.tile].append(record)
    if not any(tile.id in looks for tile in tiles.pictures):
        raise ValueError(f"none of {len(records)} records holds boxes of the {rule.group} on these tiles")
    return tiles.model_copy(
        update={"pictures": tuple(label_tile(tile, looks[tile.id], rule) for tile in tiles.pictures)}
    )


def summary_lines(dataset: Dataset) -> list[str]:
    """What an aggregated data set holds, as the paper's Table 2 and Section 4.1 count it, a line each."""
    reviewed = [p for p in dataset.pictures if p.labelled]
    figures = [len(p.boxes()) for p in reviewed]
    counts = {
        "tiles": len(dataset.pictures),
        "tiles reviewed by enough labelers": len(reviewed),
        "mitotic tiles": sum(count > 0 for count in figures),
        "mitotic figures": sum(figures),
        "ambiguous areas": sum(len(p.ambiguous_areas) for p in reviewed),
        "patients": len({p.patient for p in reviewed}),
    }
    return [f"{count:9,d}  {name}" for name, count in counts.items()]
