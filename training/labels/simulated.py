"""Tiles of generated tissue with the records of simulated labelers: what a labeling campaign would have left."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from serving.core.geometry import Region
from serving.datasets.store import Annotation, Dataset, Picture, make_box, write_store
from serving.scoring.tiling import TILE_PX
from serving.synthetic.field import MPP, SyntheticTissue
from training.labels.labelers import CROWD_LABELERS, EXPERT_LABELERS, Boxes, answer_parts, draw_boxes
from training.labels.records import Record, write_records
from training.labels.targets import clip_boxes

SHOWN = 0.5
"""A cell on a tile's edge belongs to the tile if this share of its box lies inside."""
_REACH_PX = 100
"""No box is larger."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is labelled. slides : one a patient; tiles : of each, side by side; densities per mm2."""

    slides: int = 4
    tiles: int = 8
    seed: int = 0
    mitoses_per_mm2: float = 12.0
    lookalikes_per_mm2: float = 24.0

    def __post_init__(self) -> None:
        if self.slides < 1 or self.tiles < 1:
            raise ValueError("a campaign needs at least one slide and one tile")


def simulate(campaign: Campaign, out: Path) -> list[Record]:
    """Write tiles, `tiles-store.json` without labels, `truth-store.json` and `records.csv` into `out`; the records.

    The crowd draws boxes; experts draw boxes and answer 250 px parts, as in the paper. The same campaign gives the same
    files.
    """
    (out / "tiles").mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    tiles, truth = [], []
    for slide in range(campaign.slides):
        tissue = _tissue(campaign, slide)
        for number in range(campaign.tiles):
            rng = np.random.default_rng([campaign.seed, slide, number])
            region = Region(number * TILE_PX, 0, TILE_PX, TILE_PX)
            tile = _unlabelled_picture(slide, number)
            Image.fromarray(tissue.draw(region)).save(out / tile.path)
            figures, lookalikes = (_boxes(tissue, region, kind) for kind in ("figure", "lookalike"))
            tiles.append(tile)
            truth.append(_true_picture(tile, figures, lookalikes))
            records += draw_boxes(tile, figures, lookalikes, CROWD_LABELERS, rng)
            records += draw_boxes(tile, figures, lookalikes, EXPERT_LABELERS, rng)
            records += answer_parts(tile, figures, lookalikes, EXPERT_LABELERS, rng)
    for name, pictures in (("tiles", tiles), ("truth", truth)):
        write_store(_dataset(out, name, pictures), out / f"{name}-store.json")
    write_records(records, out / "records.csv")
    return records


def _tissue(campaign: Campaign, slide: int) -> SyntheticTissue:
    seed = int(np.random.SeedSequence([campaign.seed, slide]).generate_state(1)[0])
    return SyntheticTissue(seed, campaign.mitoses_per_mm2, campaign.lookalikes_per_mm2)


def _unlabelled_picture(slide: int, number: int) -> Picture:
    name = f"slide-{slide:02d}-tile-{number:02d}"
    return Picture(
        id=name,
        path=f"tiles/{name}.png",
        width=TILE_PX,
        height=TILE_PX,
        mpp=MPP,
        slide=f"slide-{slide:02d}",
        patient=f"slide-{slide:02d}",
        labelled=False,
    )


def _boxes(tissue: SyntheticTissue, region: Region, kind: str) -> Boxes:
    """Boxes of cells of which enough lies in the region, cut at its edges, relative to it."""
    size = region.width + 2 * _REACH_PX, region.height + 2 * _REACH_PX
    wide = Region(region.x - _REACH_PX, region.y - _REACH_PX, *size)
    boxes, shown = clip_boxes(tissue.boxes(wide, kind), (_REACH_PX, _REACH_PX, region.width, region.height))
    return boxes[shown >= SHOWN]


def _true_picture(tile: Picture, figures: Boxes, lookalikes: Boxes) -> Picture:
    annotations = [Annotation(box=make_box(row), label="mitotic figure", agreement=1.0) for row in figures]
    annotations += [Annotation(box=make_box(row), label="look-alike", agreement=0.0) for row in lookalikes]
    return tile.model_copy(update={"labelled": True, "annotations": tuple(annotations)})


def _dataset(out: Path, name: str, pictures: list[Picture]) -> Dataset:
    return Dataset(
        name=f"generated tissue: {name}",
        format="simulated labels",
        licence="CC0-1.0",
        root=str(out.resolve()),
        pictures=tuple(pictures),
    )
