"""The slides of a cohort: from a CSV, a list, a folder, a pattern, a bucket or a DICOMweb server."""

import csv
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from serving.cohort.errors import ManifestError
from serving.core.errors import RequestError
from serving.core.geometry import parse_roi
from serving.core.pixelsize import parse_mpp

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_NAME_LENGTH = 80

COLUMNS = ("slide", "id", "case", "mpp", "roi")
"""Of a CSV; the first is needed."""
_SHOWN = 20
"""Errors that are named; the rest are counted."""
_DELIMITERS = ",;\t"
_BEYOND = "\n"
"""Key of cells beyond the columns: no column can be called so."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A slide as the manifest states it.

    id : names the slide's results, unique in the cohort
    source : an absolute path, or a URL
    case : whatever the manifest groups slides by
    mpp : microns per level-0 px, of both axes or of each, in place of what the slide states
    roi : only here, as `parse_roi` takes it
    """

    id: str
    source: str
    case: str = ""
    mpp: float | tuple[float, float] | None = None
    roi: str | None = None


def make_slide_id(source: str) -> str:
    """An id for a slide that the manifest gives none: its name, and a hash that tells apart slides of the same name.

    It depends on `source` alone, so that a manifest may grow or be put into another order.
    """
    stem = PurePosixPath(parse_file_name(source)).stem
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:_NAME_LENGTH] or "slide"
    return f"{readable}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def parse_file_name(source: str) -> str:
    """The file name of a slide, without folders; of a DICOM series its folder's name or UID."""
    name = PurePosixPath(source if is_path(source) else unquote(urlsplit(source).path)).name
    return "slide" if name in ("", ".", "..") else name


def is_path(source: str) -> bool:
    """Whether a source is a path on this machine's file systems, not a URL."""
    return "://" not in source


@dataclass(frozen=True, slots=True)
class Manifest:
    """The slides of a cohort, in order, and the columns that were there but mean nothing here."""

    entries: tuple[ManifestEntry, ...]
    ignored: tuple[str, ...] = ()


Row = tuple[int, dict[str, str]]
"""A line's number and what it states."""


def read_manifest(text: str, *, base: str, name: str) -> Manifest:
    """The slides that a CSV, told by a column `slide` in its first line, or a list with a slide a line names.

    base : folder or URL that relative slides are relative to; name : what errors call the manifest

    Raises
    ------
    ManifestError
        If anything in it cannot be used; the message names every line.
    """
    columns, rows = _rows(text, name)
    errors: list[str] = []
    entries: list[ManifestEntry] = []
    lines: list[int] = []
    for line, row in rows:
        try:
            entries.append(_entry(row, base))
            lines.append(line)
        except RequestError as error:
            # Its columns are called like the options, and are no options.
            errors.append(f"line {line}: {error}".replace("`", ""))
    errors += _find_repeated(entries, lines)
    if not entries and not errors:
        errors.append("it names no slide")
    if errors:
        raise ManifestError("\n".join([f"{name} cannot be used:", *errors[:_SHOWN], *_rest(errors)]))
    return Manifest(tuple(entries), tuple(c for c in columns if c not in COLUMNS))


def make_manifest(sources: Iterator[str]) -> Manifest:
    """A manifest of slides that were found rather than listed."""
    return Manifest(tuple(ManifestEntry(make_slide_id(source), source) for source in sources))


def with_mpp(manifest: Manifest, mpp: float | tuple[float, float] | None) -> Manifest:
    """The manifest with `mpp` for slides that state none of their own in it."""
    if mpp is None:
        return manifest
    entries = tuple(entry if entry.mpp is not None else replace(entry, mpp=mpp) for entry in manifest.entries)
    return replace(manifest, entries=entries)


def _columns(head: str, delimiter: str) -> list[str]:
    """The names in a first line; quotes around them, as spreadsheet programs write them, are none of theirs."""
    try:
        cells = next(csv.reader([head], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # longer than a field may be: no table
        cells = head.split(delimiter)
    return [cell.strip().lower() for cell in cells]


def _rows(text: str, name: str) -> tuple[list[str], list[Row]]:
    """The columns, and every line that states something."""
    lines = text.removeprefix("\ufeff").splitlines()
    head = lines[0] if lines else ""
    delimiter = max(_DELIMITERS, key=head.count)
    columns = _columns(head, delimiter)
    if COLUMNS[0] not in columns:
        return [], [
            (number, {"slide": line.strip()})
            for number, line in enumerate(lines, 1)
            if line.strip() and not line.lstrip().startswith("#")
        ]
    if repeated := sorted({c for c in columns if columns.count(c) > 1}):
        raise ManifestError(f"{name} cannot be used:\nline 1: it has the column {repeated[0]!r} more than once")
    reader = csv.DictReader(
        io.StringIO("\n".join(lines[1:])), columns, restkey=_BEYOND, restval="", delimiter=delimiter, strict=True
    )
    rows: list[Row] = []
    try:
        for cells in reader:
            row = {column: cell.strip() if isinstance(cell, str) else ",".join(cell) for column, cell in cells.items()}
            if any(row.values()):
                rows.append((reader.line_num + 1, row))
    except csv.Error as error:
        raise ManifestError(f"{name} cannot be used:\nline {reader.reader.line_num + 1}: {error}") from error
    return columns, rows


def _entry(row: dict[str, str], base: str) -> ManifestEntry:
    if _BEYOND in row:
        raise RequestError("it has more cells than the first line has columns; quote cells that hold the delimiter")
    stated = row.get("slide", "")
    if not stated:
        raise RequestError("it names no slide")
    if not stated.isprintable():
        raise RequestError("the slide's name holds characters that cannot be printed")
    source = _absolute(stated, base)
    identifier = row.get("id") or make_slide_id(source)
    if not ID.fullmatch(identifier):
        raise RequestError(f"id {identifier[:80]!r} names files: give at most 120 letters, digits, dots, - and _")
    roi = row.get("roi") or None
    if roi is not None:
        parse_roi(roi)
    return ManifestEntry(identifier, source, row.get("case", ""), _mpp(row.get("mpp", "")), roi)


def _mpp(text: str) -> float | tuple[float, float] | None:
    return parse_mpp(text) if text else None


def _absolute(stated: str, base: str) -> str:
    if stated.startswith("file://"):
        stated = stated.removeprefix("file://")
    if not is_path(stated) or os.path.isabs(stated):
        return stated
    if not is_path(base):
        return f"{base.rstrip('/')}/{stated}"
    return os.path.abspath(Path(base) / stated)


def _find_repeated(entries: list[ManifestEntry], lines: list[int]) -> list[str]:
    """What is wrong with lines that repeat the id, or the slide and region, of an earlier one."""
    found: list[str] = []
    keys: list[tuple[str, Callable[[ManifestEntry], object]]] = [
        ("slide", lambda e: (e.source, e.roi)),
        ("id", lambda e: e.id),
    ]
    told: set[int] = set()
    for what, key in keys:
        first: dict[object, int] = {}
        for entry, line in zip(entries, lines, strict=True):
            earlier = first.setdefault(key(entry), line)
            if earlier != line and line not in told:
                told.add(line)
                shown = entry.source if what == "slide" else entry.id
                hint = "" if what == "slide" else "; give each its own in a column `id`"
                found.append(f"line {line}: the {what} {shown} is that of line {earlier} again{hint}")
    return found


def _rest(errors: list[str]) -> list[str]:
    return [f"and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
