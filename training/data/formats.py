"""The formats that can be imported, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.data.import_report import FormatError, ImportReport
from training.data.readers import (
    amibr,
    asap,
    atnorm,
    icpr2012_fields,
    midog,
    midog25_atypical,
    mitos2012,
    mitos_atypia14,
    plain_csv,
    qupath,
    sliderunner,
    tupac16,
)
from training.data.readers.source import Source
from training.data.store import Dataset

UNSTATED = "not stated; check before use"
_CONTEST = "contest data, research use"


@dataclass(frozen=True, slots=True)
class Format:
    """A published layout.

    summary : what PATH is, in a line
    takes : whether PATH may be a file or a folder
    licence : the publisher's, as far as known
    """

    summary: str
    takes: Literal["file", "folder", "either"]
    licence: str
    read: Callable[[Source, ImportReport], Dataset]


FORMATS = {
    midog.FORMAT: Format(
        "MIDOG.json or MIDOG++.json; datasets_xvalidation.csv beside it is read too",
        "file",
        "CC BY-NC-ND (MIDOG 2021), CC0 (MIDOG++)",
        midog.read_midog,
    ),
    sliderunner.FORMAT: Format(
        "SlideRunner .sqlite: MIDOG, TUPAC16 alternative labels, CMC, CCMCT",
        "file",
        UNSTATED,
        sliderunner.read_sliderunner,
    ),
    tupac16.FORMAT: Format(
        "folder with mitoses_ground_truth/, and nonmitoses_ground_truth/ of the alternative labels",
        "folder",
        _CONTEST,
        tupac16.read_tupac16,
    ),
    mitos2012.FORMAT: Format(
        "folder of MITOS 2012 with <picture>.csv files", "folder", _CONTEST, mitos2012.read_mitos2012
    ),
    mitos_atypia14.FORMAT: Format(
        "folder of MITOS-ATYPIA-14 with A03/mitosis/*.csv", "folder", _CONTEST, mitos_atypia14.read_mitos_atypia14
    ),
    icpr2012_fields.FORMAT: Format(
        "fields.json of MITOS 2012 fields, with painted_fields.json beside it",
        "either",
        _CONTEST,
        icpr2012_fields.read_icpr2012_fields,
    ),
    amibr.FORMAT: Format(
        "CSV of AMi-Br crops", "file", "MIT; pictures of TUPAC16 and MIDOG 2021 (CC BY-NC-ND)", amibr.read_amibr
    ),
    midog25_atypical.FORMAT: Format(
        "CSV of MIDOG 2025 atypical figures", "file", UNSTATED, midog25_atypical.read_midog25_atypical
    ),
    atnorm.FORMAT: Format(
        "folder of AtNorm crops: normal/, atypical/, expert_votes.csv",
        "folder",
        "MIT; pictures of TCGA and MIDOG++",
        atnorm.read_atnorm,
    ),
    qupath.FORMAT: Format(
        "QuPath .geojson file, or a folder of them, one a slide", "either", UNSTATED, qupath.read_qupath
    ),
    asap.FORMAT: Format("ASAP .xml file, or a folder of them, one a slide", "either", UNSTATED, asap.read_asap),
    plain_csv.FORMAT: Format(
        "CSV with picture,label and x1,y1,x2,y2 or x,y; see docs/datasets.md",
        "file",
        UNSTATED,
        plain_csv.read_plain_csv,
    ),
}


def import_dataset(format_name: str, source: Source) -> tuple[Dataset, ImportReport]:
    """The data set that a source holds, and what became of its records.

    Raises
    ------
    FormatError
        If the source is not laid out as the format says, gives no picture, or gives two of one id.
    FileNotFoundError
        If a file or folder is not there.
    """
    for path in (source.path, source.images):
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}")
    _check_kind(source.path, format_name)
    report = ImportReport()
    dataset = FORMATS[format_name].read(source, report)
    if not dataset.pictures:
        lost = "; ".join(f"{count} {reason}" for reason, count in report.dropped.items() if count)
        raise FormatError(source.path, "pictures", f"none was taken from {source.images} ({lost or 'there are none'})")
    _check_ids(source, dataset)
    for picture in dataset:
        report.taken["pictures, labelled" if picture.labelled else "pictures, unlabelled"] += 1
        if picture.ambiguous_areas:
            noted = "look-alikes that some rater called a mitotic figure: ambiguous areas"
            report.noted[noted] += len(picture.ambiguous_areas)
        if picture.mpp is None:
            report.noted["pictures without um/px: give --mpp before training on them"] += 1
    return dataset, report


def _check_kind(path: Path, format_name: str) -> None:
    layout = FORMATS[format_name]
    if layout.takes == ("file" if path.is_dir() else "folder"):
        raise FormatError(path, "path", f"must be a {layout.takes} for {format_name}: {layout.summary}")


def _check_ids(source: Source, dataset: Dataset) -> None:
    seen: set[str] = set()
    for picture in dataset:
        if picture.id in seen:
            raise FormatError(source.path, f"picture {picture.id}", "comes twice")
        seen.add(picture.id)
