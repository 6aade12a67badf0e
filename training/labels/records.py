"""Raw label records: what each labeler said of each tile, one record a look, before anything is aggregated."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from serving.core.validation import describe_problem
from serving.datasets.csv_rows import table_rows
from serving.datasets.import_report import FormatError
from serving.datasets.store import Box, Picture

Group = Literal["crowd", "expert"]
Task = Literal["binary", "boxes"]

COLUMNS = ("task", "tile", "labeler", "group", "seconds", "tile_px", "answer", "boxes")
"""Of the CSV form, in any order."""


def _with_an_area(box: Box) -> Box:
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError("a box is x1, y1, x2, y2 with x1 < x2 and y1 < y2")
    return box


class _Look(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tile: str = Field(min_length=1)
    """What was shown. Of boxes: the id of a picture in the tiles' store."""
    labeler: str = Field(min_length=1)
    group: Group
    seconds: float | None = Field(default=None, gt=0)
    """From showing the tile to the answer; None where nobody measured it."""


class BinaryRecord(_Look):
    """A labeler's answer whether a tile shows a mitotic figure."""

    task: Literal["binary"] = "binary"
    tile_px: int = Field(default=250, gt=0)
    """Side of what was shown, px."""
    answer: bool


class BoxesRecord(_Look):
    """The boxes that a labeler drew on a tile; none where they found no mitotic figure."""

    task: Literal["boxes"] = "boxes"
    tile_px: int = Field(default=1000, gt=0)
    """Side of what was shown, px."""
    boxes: tuple[Annotated[Box, AfterValidator(_with_an_area)], ...]
    """xyxy, px of the tile."""


Record = BinaryRecord | BoxesRecord
_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="task")])


def read_records(path: Path, tiles: Iterable[Picture] | None = None) -> list[Record]:
    """The records of a .csv or .jsonl file, in its order; docs/labels.md states both forms.

    tiles : what boxes were drawn on; records of other tiles, and boxes that lie outside theirs, are then refused

    Raises
    ------
    FormatError
        If a record is wrong, or a labeler labelled a tile twice in one task; the message names file, line and field.
    FileNotFoundError
        If there is no such file.
    """
    known = None if tiles is None else {p.id: p for p in tiles}
    records: list[Record] = []
    lines: dict[tuple[str, str, str], int] = {}
    for line, values in _csv_records(path) if _is_csv(path) else _json_records(path):
        record = _record(path, line, values)
        first = lines.setdefault((record.task, record.tile, record.labeler), line)
        if first != line:
            said = f"{record.labeler!r} labelled tile {record.tile!r} in line {first} already"
            raise FormatError(path, f"line {line}", f"labeler: {said}")
        if known is not None and isinstance(record, BoxesRecord):
            _check_place(path, line, record, known)
        records.append(record)
    return records


def write_records(records: Iterable[Record], path: Path) -> None:
    """Write records as .csv or .jsonl, by the name's ending.

    Raises
    ------
    FormatError
        If the name ends in neither.
    """
    if _is_csv(path):
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(_cells(r) for r in records)
    else:
        path.write_text("".join(f"{r.model_dump_json()}\n" for r in records), encoding="utf-8")


def _is_csv(path: Path) -> bool:
    if path.suffix not in (".csv", ".jsonl"):
        raise FormatError(path, "name", "label records are a .csv or a .jsonl file")
    return path.suffix == ".csv"


def _csv_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each record's line and filled cells; of boxes also an empty one, which says that none was drawn."""
    for row in table_rows(path, ("task", "tile", "labeler", "group"), known=COLUMNS):
        values: dict[str, Any] = {name: cell for name, cell in row.cells.items() if cell}
        if row.cells["task"] == "boxes" and "boxes" in row.cells:
            values["boxes"] = [box.split() for box in row.cells["boxes"].split(";") if box.strip()]
        yield row.line, values


def _cells(record: Record) -> dict[str, object]:
    """What `_csv_records` takes back."""
    cells = record.model_dump()
    if isinstance(record, BoxesRecord):
        cells["boxes"] = "; ".join(" ".join(map(str, box)) for box in record.boxes)
    else:
        cells["answer"] = "yes" if record.answer else "no"
    return cells


def _json_records(path: Path) -> Iterator[tuple[int, Any]]:
    """Each record's line and value."""
    # Bytes split at line feeds alone; text would also split at characters that JSON may hold inside a string.
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FormatError(path, f"line {number}", f"no JSON: {error}") from None


def _record(path: Path, line: int, values: object) -> Record:
    try:
        return _RECORD.validate_python(values)
    except ValidationError as error:
        # Places inside a record start with its task, which nobody wrote as a field's name.
        raise FormatError(path, f"line {line}", describe_problem(error, skip=1, otherwise="task")) from None


def _check_place(path: Path, line: int, record: BoxesRecord, known: dict[str, Picture]) -> None:
    tile = known.get(record.tile)
    if tile is None:
        raise FormatError(path, f"line {line}", f"tile: the store has no picture {record.tile!r}")
    for number, (x1, y1, x2, y2) in enumerate(record.boxes):
        if x2 <= 0 or y2 <= 0 or x1 >= tile.width or y1 >= tile.height:
            said = (
                f"boxes.{number}: {x1:g} {y1:g} {x2:g} {y2:g} lies outside the tile of {tile.width} x {tile.height} px"
            )
            raise FormatError(path, f"line {line}", said)
