"""Rows of CSV files that know where they stand, so that an error can say so."""

import csv
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.datasets.import_report import FormatError


@dataclass(frozen=True, slots=True)
class Row:
    """Cells by column name, stripped."""

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
        if not (value := self.cells.get(column, "")):
            raise self.error(column, "is empty")
        return value

    def optional(self, column: str) -> str:
        """A cell that may be empty or absent."""
        return self.cells.get(column, "")

    def number(self, column: str) -> float:
        """A finite number.

        Raises
        ------
        FormatError
            If the cell holds none.
        """
        return finite(self.path, f"line {self.line}, field {column}", self.text(column))


def table_rows(
    path: Path, required: Sequence[str], *, known: Collection[str] | None = None, delimiter: str = ","
) -> Iterator[Row]:
    """Rows of a table with a header, blank lines left out.

    known : the columns that may be there, None for any

    Raises
    ------
    FormatError
        If a required column is missing, one comes twice or is not known, a row is longer or shorter than the header, or
        the file is no CSV.
    FileNotFoundError
        If there is no such file.
    """
    lines = _lines(path, delimiter)
    start, columns = next(lines, (1, []))
    _check_columns(path, f"line {start}", columns, required, known)
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
        used = max(i for i, cell in enumerate(cells, 1) if cell)
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


def _check_columns(
    path: Path, where: str, columns: Sequence[str], required: Sequence[str], known: Collection[str] | None
) -> None:
    listed = ", ".join(columns if known is None else known) or "none"
    if missing := [name for name in required if name not in columns]:
        raise FormatError(path, where, f"no column {', '.join(map(repr, missing))} (columns: {listed})")
    if len(set(columns)) < len(columns):
        raise FormatError(path, where, "two columns have the same name")
    if known is not None and (strange := [name for name in columns if name not in known]):
        raise FormatError(path, where, f"unknown column {strange[0]!r} (columns: {listed})")


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        # A file saved by a spreadsheet program may start with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle, delimiter=delimiter, strict=True)
            for row in reader:
                line = reader.line_num
                cells = [cell.strip() for cell in row]
                if any(cells):
                    yield line, cells
    except UnicodeDecodeError as error:
        # Text is decoded a block at a time, so that the wrong byte is somewhere behind the last line read.
        said = f"is not UTF-8 ({error.reason}); save the file in that encoding"
        raise FormatError(path, f"behind line {line}", said) from None
    except csv.Error as error:
        raise FormatError(path, f"line {line + 1}", f"is not CSV text ({error})") from None
