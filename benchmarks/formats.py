"""One field in every format: `python -m benchmarks.formats [--models models] [--seed 3]`.

Writes a generated field in every way of `tests.formats`, scores each file, and prints a Markdown table: figures, tissue, and how
far their centres are from those of the deflate TIFF; or the refusal. Without `--models` the figures are planted dots and the
models those of the tests, which find every dot. The exit code is 1 where a file that is to be read gives other numbers than its
codec's loss explains, or one that is to be refused is read.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from serving.core.errors import MitoserveError
from serving.scoring.detector import AnyDetector
from serving.scoring.loading import load_detector
from serving.synthetic.field import generate_field
from tests.fakes import DotDetector, plant
from tests.field_files import Pixels
from tests.formats import FORMATS, DecodedPicture, find_in, write

SIDE = 1000
"""Px of the field, a tile."""
GLASS_PX = 150
"""Of its left part that is glass."""
DOTS = ((260, 200), (500, 260), (820, 180), (300, 520), (640, 540), (900, 700), (240, 860), (600, 880))


def main(arguments: list[str]) -> int:
    """Print the table; gives the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    stated = parser.parse_args(arguments)
    detector: AnyDetector = DotDetector() if stated.models is None else load_detector(stated.models)
    pixels = field(stated.seed, dots=stated.models is None)
    reference, failed = None, 0
    print("| stored as | figures | tissue, mm2 | centres, µm |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, stored) in enumerate(FORMATS.items()):
            try:
                found = find_in(write(Path(folder) / str(number), name, pixels), stored, detector)
            except MitoserveError as refusal:
                failed += stored.refused is None or stored.refused not in str(refusal)
                print(refused_line(name, str(refusal)), flush=True)
                continue
            reference = reference or found
            failed += stored.refused is not None or not found.agrees(reference, lossy=stored.lossy)
            print(found_line(name, found, reference), flush=True)
    return 1 if failed else 0


def field(seed: int, *, dots: bool) -> Pixels:
    """Generated tissue beside glass, uint8, shape (SIDE, SIDE, 3)."""
    pixels = generate_field(seed=seed, width=SIDE, height=SIDE, mitoses_per_mm2=0 if dots else 120).pixels.copy()
    pixels[:, :GLASS_PX] = 245
    for x, y in DOTS if dots else ():
        plant(pixels, x, y)
    return pixels


def found_line(name: str, found: DecodedPicture, reference: DecodedPicture) -> str:
    """A line of the table, of a file that was read."""
    away = found.distance(reference)
    return f"| {name} | {len(found.centres)} | {found.tissue_mm2:.4f} | {'-' if away is None else f'{away:.2f}'} |"


def refused_line(name: str, refusal: str) -> str:
    """A line of the table, of a file that was refused with the message `refusal`."""
    return f"| {name} | refused: it {refusal.split(';', maxsplit=1)[0].partition(' ')[2]} | | |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
