"""Results: written once, in a folder that appears whole, and read back, checked, into what every export draws."""

import io
import logging
import shutil
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.report import Report
from serving.jobs.job import LOST, ResultLostError
from serving.quality.quality_mask import QualityMask
from serving.scoring.analysis import Analysis, MitosisMap, Overview
from serving.store.checksums import DamagedError, name_with_sum, read_verified, states_sum
from serving.store.folder_store import FolderStore, flush
from serving.store.places import RESULTS

_REPORT, _RASTERS = "report.json", "rasters.npz"
_log = logging.getLogger("mitoserve.results")
_FORMERLY = ("pen", "bubble", "fold", "blur")
"""The reasons of results that name none: those before packages could add some."""
_FIELDS = ("x", "y", "step", "window", "mpp")


def save_result(
    analysis: Analysis,
    kept: FolderStore,
    stem: str,
    *,
    folder: str = RESULTS,
    more: Mapping[str, bytes] = MappingProxyType({}),
) -> str:
    """Write the result into `folder`, as a new folder; gives its name, which is `stem` and the checksum of its content.

    Where the disk is full, `OSError` is raised and nothing is left. Where it cannot be kept beyond this server, `BlobStoreError`
    is raised.

    more : further files of the folder, by name
    """
    part = kept.root / folder / f".{stem}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=0o700, parents=True)
        (part / _REPORT).write_text(analysis.report.model_dump_json())
        lattice = analysis.mitosis_map
        np.savez_compressed(
            part / _RASTERS,
            scores=lattice.scores,
            **_triage_arrays(lattice),
            frame=np.asarray([getattr(lattice, name) for name in _FIELDS], np.float64),
            pixels=analysis.overview.pixels,
            downsample=np.asarray(analysis.overview.downsample, np.float64),
            **_quality_arrays(analysis.quality),
        )
        for file, content in more.items():
            (part / file).write_bytes(content)
        name = name_with_sum(stem, part)
        flush(part)
        kept.put(part, f"{folder}/{name}")
        kept.settle(part, f"{folder}/{name}")
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return name


def load_result(kept: FolderStore, name: str, *, slide_name: str) -> Analysis:
    """The result in folder `name`; its slide is called as whoever asks called it.

    Raises
    ------
    ResultLostError
        If it is gone, or is not what was written.
    """
    contents = read_result(kept, name)
    try:
        with np.load(io.BytesIO(contents[_RASTERS]), allow_pickle=False) as rasters:
            report = Report.model_validate_json(contents[_REPORT])
            frame = dict(zip(_FIELDS, (float(v) for v in rasters["frame"]), strict=True))
            # Of fast analyses alone.
            light = rasters.get("triage")
            lattice = MitosisMap(scores=rasters["scores"], triage=light, **frame)
            overview = Overview(rasters["pixels"], float(rasters["downsample"]))
            # Results of releases before 1.2 of the report have none.
            quality = _read_quality(rasters) if "reasons" in rasters else None
    except Exception as error:
        if states_sum(name):  # it is what was written: the fault is not in the file
            raise
        raise ResultLostError(LOST) from error
    slide = report.slide.model_copy(update={"name": slide_name})
    return Analysis(report.model_copy(update={"slide": slide}), lattice, overview, quality)


def read_report(kept: FolderStore, name: str) -> Report:
    """The report of the result in folder `name`, without its rasters.

    Raises
    ------
    ResultLostError
        If it is gone, or is not what was written.
    """
    content = read_result(kept, name, only=(_REPORT,))[_REPORT]
    try:
        return Report.model_validate_json(content)
    except ValueError as error:
        if states_sum(name):
            raise
        raise ResultLostError(LOST) from error


def check_result(kept: FolderStore, name: str, *, folder: str = RESULTS) -> None:
    """Raise `ResultLostError` where a result is gone or damaged."""
    read_result(kept, name, folder=folder)


def read_result(
    kept: FolderStore, name: str, *, folder: str = RESULTS, only: Collection[str] | None = None
) -> dict[str, bytes]:
    """The contents of a result's files by name, as they were written; a damaged copy of what is kept elsewhere is replaced.

    only : these files, where not all are needed

    Raises
    ------
    ResultLostError
        If it is gone, or is not what was written.
    """
    place = f"{folder}/{name}"
    try:
        try:
            with kept.hold(place) as held:
                return read_verified(held, name, only=only)
        except DamagedError:
            if not kept.drop_copy(place):
                raise
        with kept.hold(place) as held:  # what comes damaged again is damaged where it is kept
            return read_verified(held, name, only=only)
    except (FileNotFoundError, DamagedError) as error:
        _log.error("the result %s cannot be read: %s", place, error)
        raise ResultLostError(LOST) from error


def _read_quality(rasters: Mapping[str, NDArray[Any]]) -> QualityMask:
    names = tuple(rasters["names"].tolist()) if "names" in rasters else _FORMERLY
    step_x, step_y = rasters["steps"].tolist()
    return QualityMask(rasters["reasons"], step_x, step_y, names)


def _triage_arrays(lattice: MitosisMap) -> dict[str, Any]:
    return {} if lattice.triage is None else {"triage": lattice.triage}


def _quality_arrays(quality: QualityMask | None) -> dict[str, Any]:
    if quality is None:
        return {}
    steps = np.asarray([quality.step_x, quality.step_y], np.float64)
    return {"reasons": quality.reasons, "steps": steps, "names": np.asarray(quality.names, np.str_)}
