"""Importing a published data set: the reader of its format, and checks that hold for all of them."""

from pathlib import Path

from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.readers.registry import FORMATS
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset


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
    dataset = _with_resolutions(source, dataset)
    for picture in dataset:
        report.taken["pictures, labelled" if picture.labelled else "pictures, unlabelled"] += 1
        if picture.ambiguous_areas:
            noted = "look-alikes that some rater called a mitotic figure: ambiguous areas"
            report.noted[noted] += len(picture.ambiguous_areas)
        if picture.mpp is None:
            report.noted["pictures without um/px: give --mpp, or --mpp-of a slide, before training on them"] += 1
    return dataset, report


def _with_resolutions(source: Source, dataset: Dataset) -> Dataset:
    """The data set with the resolutions that the caller states for single slides."""
    if unknown := set(source.mpp_of) - {picture.slide for picture in dataset}:
        slides = ", ".join(sorted({picture.slide for picture in dataset})[:20])
        raise FormatError(source.path, f"slide {sorted(unknown)[0]}", f"there is none (slides: {slides})")
    return dataset.model_copy(
        update={
            "pictures": tuple(
                picture.model_copy(update={"mpp": source.mpp_of.get(picture.slide, picture.mpp)}) for picture in dataset
            )
        }
    )


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
