"""One field in every format: `python -m benchmarks.formats [--models models] [--seed 3]`.

Writes a generated field in every way of `tests.formats`, scores each file with the released models, and prints a Markdown
table: figures, tissue, and how far their centres are from those of the deflate TIFF; or the refusal. The exit code is 1
where a file that is to be read differs by more than its codec loses, or one that is to be refused is read.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.report import Report
from serving.scoring.analysis import Options
from serving.scoring.detector import Detector
from serving.scoring.onnx_detector import load_detector
from serving.scoring.pipeline import score_slide
from serving.synthetic.field import generate_field
from serving.wsi.errors import MitoserveError
from serving.wsi.slide import open_slide
from tests.formats import FORMATS, MPP, Stored, written

SIDE = 1000
"""Px of the field, a tile."""


def main(arguments: list[str]) -> int:
    """Print the table; gives the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--seed", type=int, default=3)
    stated = parser.parse_args(arguments)
    pixels = generate_field(seed=stated.seed, width=SIDE, height=SIDE, mitoses_per_mm2=120).pixels
    detector = load_detector(stated.models)
    failed = 0
    print("| stored as | figures | tissue, mm2 | centres, µm |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        reference: Report | None = None
        for number, (name, stored) in enumerate(FORMATS.items()):
            path = written(Path(folder) / str(number), name, pixels)
            try:
                report = scored(path, stored, detector)
            except MitoserveError as refusal:
                failed += stored.refused is None or stored.refused not in str(refusal)
                print(f"| {name} | refused: {str(refusal).split(';')[0]} | | |", flush=True)
                continue
            reference = reference or report
            away = distance(centres(report, stored), centres(reference, FORMATS["deflate TIFF"]))
            counts = report.counts
            failed += stored.refused is not None or (not stored.lossy and away != 0)
            shown = "-" if away is None else f"{away:.2f}"
            print(f"| {name} | {counts.mitotic_figures} | {counts.tissue_area_mm2:.4f} | {shown} |", flush=True)
    return 1 if failed else 0


def scored(path: Path, stored: Stored, detector: Detector) -> Report:
    """The report of a file; where it states no resolution, that of the field is given."""
    with open_slide(path) as slide:
        return score_slide(slide, detector, Options(mpp=None if stored.states_mpp else MPP)).report


def centres(report: Report, stored: Stored) -> NDArray[np.float64]:
    """Centres of figures, um from the field's corner: float64, shape (N, 2)."""
    found = [(d.x + d.width / 2 - stored.at[0], d.y + d.height / 2 - stored.at[1]) for d in report.detections]
    return np.asarray(found, np.float64).reshape(-1, 2) * report.slide.mpp


def distance(found: NDArray[np.float64], reference: NDArray[np.float64]) -> float | None:
    """The largest distance from a centre to the nearest one of the reference; None without figures in either."""
    if not len(found) or not len(reference):
        return None
    return float(np.hypot(*(found[:, None] - reference[None]).T).min(0).max())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
