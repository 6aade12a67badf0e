"""What an auditor gets: pictures of the tiles with and without boxes, a page that shows them, and a table to fill."""

import csv
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from PIL import Image, ImageDraw

from serving.core.errors import MitoserveError
from serving.core.geometry import Region
from serving.core.words import RESEARCH_USE
from serving.datasets.store import Box, Dataset, Picture
from serving.slides.opening import open_slide
from training.labels.audit.audit_sample import Audit, AuditTile

COLUMNS = ("tile", "box", "x1", "y1", "x2", "y2", "answer")
"""Of `answers.csv`; coordinates in px of the tile."""
AUDIT_FILE = "audit.json"
ANSWERS_FILE = "answers.csv"
CLOSE_UP_PX = 160
"""Side of the close-up of a box on the page."""
_NUMBER_PX = 30
"""Room for a box's number."""
_YELLOW, _BLACK = (255, 221, 0), (0, 0, 0)
_GAP_PX = 3
"""Between a box and its outline, so that the line hides nothing of the figure."""


def write_sheet(audit: Audit, dataset: Dataset, out: Path) -> None:
    """Write `sheet.html`, `tiles/`, `answers.csv` to fill in, and `audit.json`, which reading the answers takes.

    Raises
    ------
    FileExistsError
        If `out` holds an audit already, whose answers would be lost.
    ValueError
        If a picture's file is absent or cannot be read.
    """
    if (out / ANSWERS_FILE).exists():
        raise FileExistsError(f"{out / ANSWERS_FILE} exists and may hold answers; choose another folder")
    (out / "tiles").mkdir(parents=True, exist_ok=True)
    pictures = {p.id: p for p in dataset.pictures}
    sheets = [(tile, _boxes(tile, pictures[tile.picture])) for tile in audit.tiles]
    for number, (tile, boxes) in enumerate(sheets, 1):
        shown = _pixels(Path(dataset.root) / pictures[tile.picture].path, tile)
        shown.save(out / "tiles" / f"{number:04d}.png")
        _outline(shown, boxes)
        shown.save(out / "tiles" / f"{number:04d}-boxes.png")
    (out / "sheet.html").write_text(_page(sheets), encoding="utf-8")
    (out / AUDIT_FILE).write_text(audit.model_dump_json(indent=1) + "\n", encoding="utf-8")
    _write_table([boxes for _, boxes in sheets], out / ANSWERS_FILE)


def _boxes(tile: AuditTile, picture: Picture) -> list[Box]:
    """The tile's boxes, xyxy, px of the tile."""
    boxes = [picture.annotations[number].box for number in tile.boxes]
    return [(x1 - tile.x, y1 - tile.y, x2 - tile.x, y2 - tile.y) for x1, y1, x2, y2 in boxes]


def _pixels(path: Path, tile: AuditTile) -> Image.Image:
    try:
        with open_slide(path) as slide:
            pixels = slide.read(Region(tile.x, tile.y, tile.width, tile.height), tile.width, tile.height)
    except (MitoserveError, OSError) as error:
        raise ValueError(f"picture {tile.picture}: {error}") from None
    return Image.fromarray(pixels)


def _outline(shown: Image.Image, boxes: Sequence[Box]) -> None:
    """Draw numbered boxes in a colour that tissue has not, with a dark edge."""
    draw = ImageDraw.Draw(shown)
    for number, (x1, y1, x2, y2) in enumerate(boxes, 1):
        around = (x1 - _GAP_PX, y1 - _GAP_PX, x2 + _GAP_PX, y2 + _GAP_PX)
        draw.rectangle(around, outline=_BLACK, width=3)
        draw.rectangle(around, outline=_YELLOW, width=2)
        beside = x2 + 2 * _GAP_PX if x2 < shown.width - _NUMBER_PX else x1 - _NUMBER_PX
        draw.text((beside, y1), str(number), fill=_YELLOW, stroke_width=2, stroke_fill=_BLACK, font_size=16)


def _page(sheets: Sequence[tuple[AuditTile, list[Box]]]) -> str:
    # Escaping is on whatever the template's name ends in.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("training.labels.audit").joinpath("sheet.html.j2").read_text("utf-8"))
    return template.render(
        sheets=sheets,
        total=sum(len(boxes) for _, boxes in sheets),
        close_up=CLOSE_UP_PX,
        answers=ANSWERS_FILE,
        research_use=RESEARCH_USE,
    )


def _write_table(boxes: Sequence[Sequence[Box]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        for tile, inside in enumerate(boxes, 1):
            for number, box in enumerate(inside, 1):
                writer.writerow([tile, number, *(f"{v:.1f}" for v in box), ""])
