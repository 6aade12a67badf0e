"""Lines of a CSV file that people fill in, and the words for what is wrong in one."""

import csv
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import ValidationError

from training.datasets.import_report import FormatError


def csv_rows(path: Path, *, needed: Collection[str], known: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's line and its cells by column, stripped; lines without any filled cell are passed over.

    Raises
    ------
    FormatError
        If a needed column is absent, a column is not known, a row is too long, or the file is no UTF-8 or no CSV.
    FileNotFoundError
        If there is no such file.
    """
    # A file saved by a spreadsheet program may start with a byte order mark.
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle, restkey="", restval="", strict=True)
        try:
            names = reader.fieldnames or ()
            _check_columns(path, names, needed, known)
            for row in reader:
                if "" in row:
                    raise FormatError(path, f"line {reader.line_num}", f"more cells than the {len(names)} columns")
                cells = {name: cell.strip() for name, cell in row.items()}
                if any(cells.values()):
                    yield reader.line_num, cells
        except csv.Error as error:
            raise FormatError(path, f"line {reader.reader.line_num}", str(error)) from None
        except UnicodeDecodeError as error:
            said = f"no UTF-8 ({error.reason}); save the file in that encoding"
            raise FormatError(path, f"behind line {reader.line_num}", said) from None


def _check_columns(path: Path, names: Collection[str], needed: Collection[str], known: Collection[str]) -> None:
    columns = ", ".join(known)
    if len(set(names)) < len(names):
        raise FormatError(path, "line 1", "two columns have the same name")
    for name in needed:
        if name not in names:
            raise FormatError(path, "line 1", f"no column {name!r}; the columns are {columns}")
    for name in names:
        if name not in known:
            raise FormatError(path, "line 1", f"unknown column {name!r}; known are {columns}")


def first_problem(error: ValidationError, *, skip: int = 0, otherwise: str = "record") -> str:
    """The first wrong field, what is wrong with it and what was given.

    skip : leading parts of a field's place that the file does not show; otherwise : the name where no part is left
    """
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][skip:]) or otherwise
    given = "" if first["type"] == "missing" else f" (given: {str(first['input'])[:60]!r})"
    return f"{field}: {first['msg']}{given}"
