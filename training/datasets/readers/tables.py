"""Rows of CSV files that know where they stand, so that an error can say so."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.datasets.import_report import FormatError


@dataclass(frozen=True, slots=True)
class Row:
    """Cells by column name."""

    path: Path
    line: int
    cells: dict[str, str]

    def error(self, column: str, problem: str) -> FormatError:
        """The error for a cell."""
        return FormatError(self.path, f"line {self.line}, field {column}", problem)

    def text(self, column: str) -> str:
        """A cell that must hold something.

        Raises
        ------
        FormatError
            If it is empty.
        """
        if not (value := self.cells.get(column, "").strip()):
            raise self.error(column, "is empty")
        return value

    def optional(self, column: str) -> str:
        """A cell that may be empty or absent."""
        return self.cells.get(column, "").strip()

    def number(self, column: str) -> float:
        """A finite number.

        Raises
        ------
        FormatError
            If the cell holds none.
        """
        return finite(self.path, f"line {self.line}, field {column}", self.text(column))


def records(path: Path, required: Sequence[str], *, delimiter: str = ",") -> Iterator[Row]:
    """Rows of a table with a header, blank lines left out.

    Raises
    ------
    FormatError
        If a required column is missing, a row is longer or shorter than the header, or the file is no CSV.
    """
    lines = _lines(path, delimiter)
    _, header = next(lines, (1, []))
    columns = [cell.strip() for cell in header]
    if missing := [name for name in required if name not in columns]:
        raise FormatError(path, "line 1", f"no column {', '.join(missing)} (columns: {', '.join(columns) or 'none'})")
    for line, cells in lines:
        if len(cells) != len(columns):
            raise FormatError(path, f"line {line}", f"has {len(cells)} fields, the header has {len(columns)}")
        yield Row(path, line, dict(zip(columns, cells, strict=True)))


def headerless(path: Path, columns: Sequence[str], *, optional: int = 0) -> Iterator[Row]:
    """Rows of a table without a header, by position.

    optional : how many of the last columns may be absent

    Raises
    ------
    FormatError
        If a row has another number of fields, or the file is no CSV.
    """
    for line, cells in lists(path):
        if not len(columns) - optional <= len(cells) <= len(columns):
            raise FormatError(path, f"line {line}", f"has {len(cells)} fields, must have {','.join(columns)}")
        yield Row(path, line, dict(zip(columns, cells, strict=False)))


def lists(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of a file whose lines have any length; a comma at a line's end, as contest files have it, is none.

    Raises
    ------
    FormatError
        If the file is no CSV.
    """
    for line, cells in _lines(path, ","):
        used = max(i for i, cell in enumerate(cells, 1) if cell.strip())
        yield line, cells[:used]


def finite(path: Path, where: str, text: str) -> float:
    """The number that `text` states.

    Raises
    ------
    FormatError
        If it is none, or not finite.
    """
    try:
        value = float(text)
    except ValueError:
        raise FormatError(path, where, f"{text[:40]!r} is not a number") from None
    if not math.isfinite(value):
        raise FormatError(path, where, f"{text[:40]!r} is not finite")
    return value


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle, delimiter=delimiter)
            for cells in reader:
                line = reader.line_num
                if any(cell.strip() for cell in cells):
                    yield line, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(path, f"line {line + 1}", f"is not CSV text ({error})") from None
