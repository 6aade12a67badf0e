"""Exports of a fast analysis show which numbers are the light net's."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from serving.cli.export import read_analysis
from serving.core.options import ScoringOptions
from serving.exports.histomicsui import to_histomicsui
from serving.exports.map_ome import to_ome_tiff
from serving.exports.map_picture import to_png
from serving.exports.map_raster import to_tiff
from serving.exports.tiles_csv import to_csv
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import TriagedDots, plant, tissue


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    pixels = tissue(1500, 1200)
    plant(pixels, 500, 500)
    plant(pixels, 900, 300, side=8)  # the light net sees something, and too little
    return score_slide(ArraySlide(pixels, mpp=0.25), TriagedDots(), ScoringOptions(cascade="fast"))


def _light(analysis: Analysis) -> np.ndarray:
    assert analysis.mitosis_map.triage is not None
    return analysis.mitosis_map.triage


def test_the_table_has_columns_of_their_own(analysis: Analysis) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(analysis).decode())))
    for row in rows:
        for place in (f"{i}_{j}" for i in range(7) for j in range(7)):
            assert not (row[f"score_{place}"] and row[f"triage_{place}"])
    given = [float(row[name]) for row in rows for name in row if name.startswith("triage_") and row[name]]
    assert 0.02 < max(given) < 0.2
    assert sum(bool(row[name]) for row in rows for name in row if name.startswith("score_")) == 1


def test_the_map_has_a_second_page_and_comes_back(analysis: Analysis, tmp_path: Path) -> None:
    (tmp_path / "mitosis-map.tif").write_bytes(to_tiff(analysis))
    (tmp_path / "report.json").write_text(analysis.report.model_dump_json())
    with tifffile.TiffFile(tmp_path / "mitosis-map.tif") as tiff:
        words = [json.loads(page.description)["what"] for page in tiff.pages]
    assert words == ["Reg-NS score of each sub-tile", "triage probability, where Reg-NS did not look"]
    again = read_analysis(tmp_path / "report.json", None).mitosis_map
    assert np.array_equal(again.scores, analysis.mitosis_map.scores, equal_nan=True)
    assert again.triage is not None
    assert np.array_equal(again.triage, _light(analysis), equal_nan=True)


def test_the_ome_tiff_names_two_channels(analysis: Analysis) -> None:
    with tifffile.TiffFile(io.BytesIO(to_ome_tiff(analysis))) as tiff:
        assert tiff.series[0].axes == "CYX"
        planes, about = tiff.asarray(), tiff.ome_metadata
    assert np.array_equal(planes, np.stack([analysis.mitosis_map.scores, _light(analysis)]), equal_nan=True)
    assert about is not None
    assert 'Name="Reg-NS score"' in about
    assert 'Name="triage probability"' in about


def test_pictures_show_both_and_say_so(analysis: Analysis) -> None:
    document = json.loads(b"".join(to_histomicsui(analysis)))
    (grid,) = (e for e in document["elements"] if e["type"] == "griddata")
    assert "triage probability where Reg-NS did not look" in grid["user"]["what"]
    expected = np.nan_to_num(analysis.mitosis_map.combine(), nan=0.0).ravel()
    assert np.allclose(grid["values"], expected, atol=1e-5)
    words = analysis.report.triage_words
    assert words is not None
    assert "Reg-NS looked at 1 of" in words
    assert Image.open(io.BytesIO(to_png(analysis))).width > 600
