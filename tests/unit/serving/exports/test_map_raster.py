import io
import json

import numpy as np
import pytest
import tifffile

from serving.exports.map_raster import to_tiff
from serving.scoring.analysis import Analysis
from tests.unit.serving.exports.conftest import DOTS


def test_scores_and_their_place_survive(analysis: Analysis) -> None:
    with tifffile.TiffFile(io.BytesIO(to_tiff(analysis))) as tiff:
        page = tiff.pages.first
        scores, place = page.asarray(), json.loads(page.description)
        per_cm = page.tags["XResolution"].value
        assert page.tags["ResolutionUnit"].value == 3
    assert scores.dtype == np.float32
    assert np.array_equal(scores, analysis.mitosis_map.scores, equal_nan=True)
    assert np.isnan(scores).any()
    assert place["analysis_id"] == analysis.report.analysis_id
    assert "Research Use Only" in place["research_use"]
    for x, y in DOTS:
        column, row = int((x - place["x"]) // place["step"]), int((y - place["y"]) // place["step"])
        corner = place["x"] + column * place["step"], place["y"] + row * place["step"]
        assert corner[0] <= x < corner[0] + place["window"]
        assert scores[row, column] == pytest.approx(1)
    assert 10_000 / (per_cm[0] / per_cm[1]) == pytest.approx(place["step"] * place["mpp"], rel=1e-4)
