"""Results on disk: written once, in a folder that appears whole, and read back into what every export draws."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from serving.quality.judging import QualityMask
from serving.report import Report
from serving.scoring.analysis import Analysis, MitosisMap, Overview
from serving.store.errors import NotFoundError

_REPORT, _RASTERS = "report.json", "rasters.npz"
_FIELDS = ("x", "y", "step", "window", "mpp")


def save_result(analysis: Analysis, root: Path, name: str, *, more: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Write the result into the new folder `name`; where the disk is full, `OSError` is raised and nothing is left.

    more : further files of the folder, by name
    """
    folder, part = root / name, root / f".{name}.part"
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
        for path in (*sorted(part.iterdir()), part):
            _flush(path)
        shutil.rmtree(folder, ignore_errors=True)  # of a try whose commit failed
        part.rename(folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise


def load_result(root: Path, name: str, *, slide_name: str) -> Analysis:
    """The result in folder `name`; its slide is called as whoever asks called it.

    Raises
    ------
    NotFoundError
        If it is gone.
    """
    try:
        report = Report.model_validate_json((root / name / _REPORT).read_bytes())
        with np.load(root / name / _RASTERS, allow_pickle=False) as kept:
            frame = dict(zip(_FIELDS, (float(v) for v in kept["frame"]), strict=True))
            lattice = MitosisMap(scores=kept["scores"], **frame)
            overview = Overview(kept["pixels"], float(kept["downsample"]))
            # Results of releases before 1.2 of the report have none.
            quality = QualityMask(kept["reasons"], *kept["steps"].tolist()) if "reasons" in kept else None
    except FileNotFoundError as error:
        raise NotFoundError("the result of this analysis is gone; submit the analysis again") from error
    slide = report.slide.model_copy(update={"name": slide_name})
    return Analysis(report.model_copy(update={"slide": slide}), lattice, overview, quality)


def _quality_arrays(quality: QualityMask | None) -> dict[str, Any]:
    if quality is None:
        return {}
    return {"reasons": quality.reasons, "steps": np.asarray([quality.step_x, quality.step_y], np.float64)}


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
