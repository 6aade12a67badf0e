"""What quality control masks, and what becomes of it: stated, or taken out of tissue and figures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.report_parts import Quality, QualityArea, QualityUse
from serving.core.words import format_count
from serving.quality.focus import PARTS
from serving.quality.quality_check import QUALITY_CHECKS, StructureMap
from serving.quality.quality_mask import QualityMask, find_quality_mask
from serving.scoring.plan import SlidePlan
from serving.scoring.tile_findings import TileFindings
from serving.scoring.tissue import TissueMask

WORTH_A_WARNING = 0.05
"""Share of the tissue that is masked."""


@dataclass(frozen=True, slots=True)
class QualityMasking:
    """judged : bool, the shape of the mask: tissue whose focus could be judged."""

    mask: QualityMask
    judged: NDArray[np.bool_]


def find_masking(plan: SlidePlan, tiles: Sequence[TileFindings]) -> QualityMasking:
    """What quality control says of a slide, from its overview and from what was measured of its tiles."""
    tissue = plan.tissue
    mask, judged = find_quality_mask(
        tissue.overview,
        tissue.tissue,
        _structure_map(plan, tiles),
        step_x=tissue.step_x,
        step_y=tissue.step_y,
        mpp=tissue.mpp,
    )
    return QualityMasking(mask, judged)


def exclude_masked_tissue(tissue: TissueMask, quality: QualityMask | None, qc: QualityUse | None) -> TissueMask:
    """The tissue that counts."""
    if quality is None or qc != "exclude":
        return tissue
    return replace(tissue, tissue=tissue.tissue & ~quality.masked)


def exclude_masked_figures(figures: Detections, quality: QualityMask | None, qc: QualityUse | None) -> Detections:
    """The figures that count. figures : level-0 px."""
    if quality is None or qc != "exclude":
        return figures
    return figures[~quality.holds(figures.centres.astype(np.float64))]


def make_quality_section(
    masking: QualityMasking, tissue: TissueMask, mpp: float, *, masked: int, dropped: int
) -> Quality:
    """The section of the report. tissue : all of it; mpp : um per level-0 px; masked, dropped : figures."""
    element = tissue.step_x * tissue.step_y * (mpp / 1000) ** 2

    def mm2(where: NDArray[np.bool_]) -> float:
        return round(float((where & tissue.analysed).sum()) * element, 4)

    quality, held = masking.mask, tissue.tissue
    glass = QualityArea(reason="background", area_mm2=mm2(~held & ~quality.masked), tissue_mm2=0.0)
    areas = [
        QualityArea(reason=r, area_mm2=mm2(quality.where(r)), tissue_mm2=mm2(quality.where(r) & held))
        for r in quality.names
    ]
    return Quality(
        methods={reason: QUALITY_CHECKS[reason].method for reason in quality.names},
        areas=[glass, *areas],
        masked_tissue_mm2=mm2(quality.masked & held),
        unjudged_focus_mm2=mm2(held & ~masking.judged & ~quality.masked),
        figures_masked=masked,
        figures_dropped=dropped,
    )


def quality_warnings(quality: Quality, qc: QualityUse, tissue_mm2: float) -> list[str]:
    """What a reader must know. tissue_mm2 : all of it."""
    masked = quality.masked_tissue_mm2
    named = ", ".join(f"{a.reason} {a.tissue_mm2:.2f} mm2" for a in quality.areas if a.tissue_mm2 >= 0.005)
    if qc == "exclude" and masked > 0:
        return [
            f"quality control left out {masked:.2f} mm2 of tissue ({named or 'traces'}) and "
            f"{format_count(quality.figures_dropped, 'mitotic figure')} in it"
        ]
    if masked > WORTH_A_WARNING * tissue_mm2:
        return [
            f"quality control masks {masked / tissue_mm2:.0%} of the tissue ({named}) with {quality.figures_masked} of the "
            "mitotic figures; they are counted all the same, `qc` exclude leaves them out"
        ]
    return []


def _structure_map(plan: SlidePlan, tiles: Sequence[TileFindings]) -> StructureMap:
    """The structure of all patches, from one block before the slide's origin on, like the map of scores."""
    steps = plan.tiling.blocks
    shape = [(n * steps + 2) * PARTS for n in (plan.grid.rows, plan.grid.columns)]
    structure = np.full((*shape, 2), np.nan, np.float32)
    for tile in tiles:
        rows, columns = tile.structure.shape[:2]
        top, left = (tile.patch.first_row + 1) * PARTS, (tile.patch.first_column + 1) * PARTS
        structure[top : top + rows, left : left + columns] = tile.structure
    step = plan.tiling.block_px * plan.frame.scale
    return StructureMap(structure, -step, -step, step / PARTS)
