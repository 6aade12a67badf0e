"""MIDOG.json and MIDOG++.json: like COCO, but for `bbox`, which is [x1, y1, x2, y2]."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, Field, FiniteFloat

from serving.datasets.csv_rows import Row, table_rows
from serving.datasets.documents import read_document
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.patient import midog_case
from serving.datasets.readers.boxes import ambiguous, annotation, share
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Sized, Source
from serving.datasets.store import Annotation, Dataset, Picture, Vote

FORMAT = "midog"
SPLITS = "datasets_xvalidation.csv"
"""The authors' table of the labelled cases, looked for beside the JSON file."""


class _Image(BaseModel):
    id: int
    file_name: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    tumor_type: str | None = None


class _Category(BaseModel):
    id: int
    name: str


class _Box(BaseModel):
    image_id: int
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    labels: list[int] = []


class _File(BaseModel):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Box]


@reader(
    FORMAT,
    summary="MIDOG.json or MIDOG++.json; datasets_xvalidation.csv beside it is read too",
    takes="file",
    licence="CC BY-NC-ND (MIDOG 2021), CC0 (MIDOG++)",
)
def read_midog(source: Source, report: ImportReport) -> Dataset:
    """Cases of MIDOG or MIDOG++.

    A case without boxes is unlabelled, unless the table of splits lists it: MIDOG++ names 553 images and labelled 503.

    Raises
    ------
    FormatError
        If the file, or the table of splits beside it, is not laid out as published.
    """
    file = read_document(source.path, _File)
    names = {category.id: category.name for category in file.categories}
    source.classes.check(source.path, "categories", list(names.values()))
    images = {image.id for image in file.images}
    for index, box in enumerate(file.annotations):
        _check(source.path, index, box, images, names)
    return source.dataset(FORMAT, _pictures(source, report, file, names))


def _pictures(source: Source, report: ImportReport, file: _File, names: dict[int, str]) -> Iterator[Picture]:
    splits = _splits(source.path.with_name(SPLITS), report)
    boxes = defaultdict(list)
    for box in file.annotations:
        boxes[box.image_id].append(box)
    for index, image in enumerate(file.images):
        stated = (image.width, image.height)
        sized = source.picture(report, image.file_name, stated=stated, where=f"images.{index}")
        if sized is None:
            continue
        case = midog_case(image.file_name)
        found = [_annotation(source, report, box, sized, names) for box in boxes[image.id]]
        annotations = tuple(a for a in found if a is not None)
        yield Picture(
            **sized.fields(),
            slide=case,
            patient=case,
            labelled=bool(boxes[image.id]) if splits is None else case in splits,
            annotations=annotations,
            ambiguous_areas=ambiguous(annotations),
            attributes={
                **({"tumour": image.tumor_type} if image.tumor_type else {}),
                **((splits or {}).get(case, {})),
            },
        )


def _check(path: Path, index: int, box: _Box, images: set[int], names: dict[int, str]) -> None:
    where = f"annotations.{index}"
    if box.image_id not in images:
        raise FormatError(path, f"{where}.image_id", f"no image has the id {box.image_id}")
    if box.category_id not in names:
        raise FormatError(path, f"{where}.category_id", f"no category has the id {box.category_id}")
    if unknown := set(box.labels) - set(names):
        raise FormatError(path, f"{where}.labels", f"no category has the id {min(unknown)}")
    x1, y1, x2, y2 = box.bbox
    if x2 <= x1 or y2 <= y1:
        raise FormatError(path, f"{where}.bbox", f"{list(box.bbox)} is not x1, y1, x2, y2; is it x, y, width, height?")


def _annotation(
    source: Source, report: ImportReport, box: _Box, sized: Sized, names: dict[int, str]
) -> Annotation | None:
    name = names[box.category_id]
    label = source.classes.find_label(name)
    if label is None:
        report.dropped[f"objects of class {name!r}"] += 1
        return None
    votes = tuple(
        Vote(rater=f"rater {i}", mitotic=source.classes.find_label(names[vote]) == "mitotic figure")
        for i, vote in enumerate(box.labels, 1)
    )
    return annotation(report, box.bbox, sized.size, label, share(votes, label), votes=votes, nominal=True)


def _splits(path: Path, report: ImportReport) -> dict[str, dict[str, str]] | None:
    """Attributes of each labelled case by case, None where there is no table."""
    if not path.is_file():
        return None
    rows = list(table_rows(path, ("Slide", "Dataset", "Tumor", "Scanner", "Origin", "Species"), delimiter=";"))
    report.noted[f"labelled cases, with split, scanner, origin and species, by {path.name}"] += len(rows)
    return {midog_case(row.text("Slide")): _attributes(row) for row in rows}


def _attributes(row: Row) -> dict[str, str]:
    split = row.text("Dataset")
    if split not in {"train", "test"}:
        raise row.error("Dataset", f"is {split!r}, must be train or test")
    return {
        "split": split,
        "tumour": row.text("Tumor"),
        # The table spells one maker in two ways, which would make two scanners of one.
        "scanner": row.text("Scanner").replace("Hamammatsu", "Hamamatsu"),
        "origin": row.text("Origin"),
        "species": row.text("Species"),
    }
