"""Results: written once, in a folder that appears whole, and read back into what every export draws."""

import shutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from serving.quality.judging import QualityMask
from serving.report import Report
from serving.scoring.analysis import Analysis, MitosisMap, Overview
from serving.store.errors import NotFoundError
from serving.store.places import RESULTS
from serving.store.shared import Keeping, flush

_REPORT, _RASTERS = "report.json", "rasters.npz"
_FIELDS = ("x", "y", "step", "window", "mpp")


def save_result(
    analysis: Analysis,
    kept: Keeping,
    name: str,
    *,
    folder: str = RESULTS,
    more: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write the result into `folder`, as the new folder `name`; where the disk is full, `OSError` is raised and nothing is left.

    Where it cannot be kept beyond this server, `ObjectsError` is raised.

    more : further files of the folder, by name
    """
    part = kept.root / folder / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=0o700, parents=True)
        (part / _REPORT).write_text(analysis.report.model_dump_json())
        lattice = analysis.mitosis_map
        np.savez_compressed(
            part / _RASTERS,
            scores=lattice.scores,
            frame=np.asarray([getattr(lattice, name) for name in _FIELDS], np.float64),
            pixels=analysis.overview.pixels,
            downsample=np.asarray(analysis.overview.downsample, np.float64),
            **_quality_arrays(analysis.quality),
        )
        for file, content in more.items():
            (part / file).write_bytes(content)
        flush(part)
        kept.put(part, f"{folder}/{name}")
        kept.settle(part, f"{folder}/{name}")
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_result(kept: Keeping, name: str, *, slide_name: str) -> Analysis:
    """The result in folder `name`; its slide is called as whoever asks called it.

    Raises
    ------
    NotFoundError
        If it is gone.
    """
    try:
        with kept.held(f"{RESULTS}/{name}") as folder, np.load(folder / _RASTERS, allow_pickle=False) as rasters:
            report = Report.model_validate_json((folder / _REPORT).read_bytes())
            frame = dict(zip(_FIELDS, (float(v) for v in rasters["frame"]), strict=True))
            lattice = MitosisMap(scores=rasters["scores"], **frame)
            overview = Overview(rasters["pixels"], float(rasters["downsample"]))
            # Results of releases before 1.2 of the report have none.
            quality = QualityMask(rasters["reasons"], *rasters["steps"].tolist()) if "reasons" in rasters else None
    except FileNotFoundError as error:
        raise NotFoundError("the result of this analysis is gone; submit the analysis again") from error
    slide = report.slide.model_copy(update={"name": slide_name})
    return Analysis(report.model_copy(update={"slide": slide}), lattice, overview, quality)


def _quality_arrays(quality: QualityMask | None) -> dict[str, Any]:
    if quality is None:
        return {}
    return {"reasons": quality.reasons, "steps": np.asarray([quality.step_x, quality.step_y], np.float64)}
