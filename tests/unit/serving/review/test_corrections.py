"""Corrections lie where the same figures lie in the GeoJSON of the result, and where training reads them."""

import json
from pathlib import Path

import numpy as np
import pytest

from serving.core.options import ScoringOptions
from serving.exports.geojson import to_geojson
from serving.review.corrections import corrections
from serving.review.verdicts import FIGURE
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.fakes import DotDetector, plant, tissue
from tests.field_files import MPP, scn, tiff
from tests.unit.serving.datasets.readers.layout import boxes, imported

FIGURES = [(200, 300), (420, 350)]
WRITERS = {"pixels that are not square": tiff(scale=(1, 0.5), compression="deflate"), "bounds": scn}


@pytest.mark.parametrize("kind", WRITERS)
def test_corrections_lie_where_the_export_and_training_have_the_figures(tmp_path: Path, kind: str) -> None:
    pixels = tissue(600, 500)
    for x, y in FIGURES:
        plant(pixels, x, y)
    path = WRITERS[kind](tmp_path / "a.tif", pixels)
    with open_slide(path) as slide:
        analysis = score_slide(slide, DotDetector(), ScoringOptions(mpp=MPP if slide.mpp is None else None))
    report = analysis.report
    assert len(report.detections) == len(FIGURES)
    verdicts = {("ann", "ann"): {f"detection-{i}": FIGURE for i in range(len(FIGURES))}}
    written = corrections(report, verdicts, {})
    exported = json.loads(b"".join(to_geojson(analysis)))["features"]
    rings = [f["geometry"]["coordinates"][0] for f in exported if f["properties"]["objectType"] == "detection"]
    corrected = [f["geometry"]["coordinates"][0] for f in json.loads(written)["features"][::2]]
    assert np.abs(np.sort(np.ptp(rings, 1), 0) - np.sort(np.ptp(corrected, 1), 0)).max() < 0.02
    assert np.abs(np.min(rings, 1) - np.min(corrected, 1)).max() < 0.02
    (tmp_path / f"{path.stem}.geojson").write_bytes(written)
    (picture,) = imported("qupath", tmp_path / f"{path.stem}.geojson")[0]
    found = np.asarray([box for label, box in boxes(picture) if label == "mitotic figure"])
    expected = [(d.x, d.y, d.x + d.width, d.y + d.height) for d in report.detections]
    assert np.abs(found - expected).max() < 0.05
