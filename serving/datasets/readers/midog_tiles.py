"""One MIDOG picture in tiles: `tiles/<x>_<y>.jpg`, and `labels.csv` with boxes in px of the whole picture."""

import re
from collections.abc import Iterator

from serving.datasets.csv_rows import Row, table_rows
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.mosaic import Tile, read_tiles
from serving.datasets.patient import midog_case
from serving.datasets.readers.boxes import annotation, outside
from serving.datasets.readers.classes import Label
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Annotation, Box, Dataset, Picture

FORMAT = "midog-tiles"
MPP = 0.23
"""um/px, about: MIDOG's Hamamatsu scanners."""
_CASE = re.compile(r"(midog)?(?P<number>\d+)", re.IGNORECASE)
_COLUMNS = ("class", "cx", "cy", "x0", "y0", "x1", "y1", "tiles")


@reader(
    FORMAT,
    summary="folder midog<case> with tiles/<x>_<y>.jpg and labels.csv in px of the whole picture",
    takes="folder",
    licence="CC0 (MIDOG++ JSON); pictures CC BY-NC-ND",
)
def read_midog_tiles(source: Source, report: ImportReport) -> Dataset:
    """The tiles as one picture, so that what lies in two of them is one object; where no tile lies is unlabelled.

    An object whose centre lies on no tile is left out, and what is seen of it is unlabelled. Two rows of one place and
    class are one object; of two classes, an ambiguous area.

    Raises
    ------
    FormatError
        If the folder's name states no case, tiles are not named by their place, or a row names a tile that is not there.
    """
    found = _CASE.fullmatch(source.path.name)
    if found is None:
        raise FormatError(source.path, "folder", "must be named by its case, e.g. midog094")
    folder = source.path / "tiles"
    if not folder.is_dir() or not (source.path / "labels.csv").is_file():
        raise FormatError(source.path, "folder", "holds no tiles/ or no labels.csv")
    tiles = {f"{tile.x}_{tile.y}": tile for tile in read_tiles(folder)}
    case = midog_case(found["number"])
    size = (max(t.x + t.width for t in tiles.values()), max(t.y + t.height for t in tiles.values()))
    shown, cut = _visible_objects(source, report, tiles)
    annotations, contradicted = _annotations(report, shown, size)
    return source.dataset(
        FORMAT,
        [
            Picture(
                id=source.path.name,
                path=folder.resolve().relative_to(source.images.resolve()).as_posix(),
                width=size[0],
                height=size[1],
                mpp=source.mpp or MPP,
                slide=case,
                patient=case,
                annotations=annotations,
                unlabelled_areas=(*outside([tile.box for tile in tiles.values()], size), *cut),
                ambiguous_areas=contradicted,
                attributes={"tiles": str(len(tiles))},
            )
        ],
    )


def _visible_objects(
    source: Source, report: ImportReport, tiles: dict[str, Tile]
) -> tuple[dict[tuple[float, float], list[tuple[Label, Box]]], list[Box]]:
    """Objects by their centre, and the boxes of those whose centre no tile shows."""
    objects: dict[tuple[float, float], list[tuple[Label, Box]]] = {}
    cut = []
    for row in table_rows(source.path / "labels.csv", _COLUMNS):
        label = source.classes.find_label(row.text("class").replace("_", " "))
        if label is None:
            report.dropped[f"objects of class {row.text('class')!r}"] += 1
            continue
        box, centre = _box(row), (row.number("cx"), row.number("cy"))
        for name in row.text("tiles").split():
            if name not in tiles:
                raise row.error("tiles", f"names tile {name}, which is not there")
        if not any(t.x <= centre[0] < t.x + t.width and t.y <= centre[1] < t.y + t.height for t in tiles.values()):
            report.dropped["objects whose centre lies on no tile: what is seen of them is unlabelled"] += 1
            cut.append(box)
            continue
        objects.setdefault(centre, []).append((label, box))
    return objects, cut


def _box(row: Row) -> Box:
    x1, y1, x2, y2 = (row.number(column) for column in ("x0", "y0", "x1", "y1"))
    if x2 <= x1 or y2 <= y1:
        raise row.error("x1", f"({x1:g}, {y1:g}, {x2:g}, {y2:g}) has no area; columns are corners, not sizes")
    return (x1, y1, x2, y2)


def _annotations(
    report: ImportReport, objects: dict[tuple[float, float], list[tuple[Label, Box]]], size: tuple[int, int]
) -> tuple[tuple[Annotation, ...], tuple[Box, ...]]:
    """One annotation a place, and the boxes of places that rows contradict each other of."""
    contradicted = [rows[0][1] for rows in objects.values() if len({label for label, _ in rows}) > 1]
    report.noted["places that two rows call a figure and none: ambiguous areas"] += len(contradicted)
    report.noted["rows that repeat an object"] += sum(len(rows) - 1 for rows in objects.values())

    def made() -> Iterator[Annotation]:
        for rows in objects.values():
            label, box = rows[0]
            if len({other for other, _ in rows}) > 1:
                continue
            agreement = 1.0 if label == "mitotic figure" else 0.0
            if (found := annotation(report, box, size, label, agreement, nominal=True)) is not None:
                yield found

    return tuple(made()), tuple(contradicted)
