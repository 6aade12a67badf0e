"""Cases of several slides have the hotspot of the slide that has the fullest one."""

from io import BytesIO
from pathlib import Path

import pyarrow.parquet
import pytest

from serving.cohort.cases import CASES, write_cases
from serving.cohort.manifest import ManifestEntry
from serving.cohort.tables import TableMember, write_part
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.report import Report
from serving.core.words import RESEARCH_USE
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from serving.store.blob_store import FolderBlobStore
from tests.fakes import DotDetector, plant, tissue
from tests.unit.serving.cohort.test_tables import FAILURE, keep

SMALL = ScoringOptions(counting=CountingOptions(hotspot_area=0.1))


def score(*dots: tuple[float, float]) -> Report:
    pixels = tissue(1500, 1200)
    for x, y in dots:
        plant(pixels, x, y)
    return score_slide(ArraySlide(pixels, mpp=0.25), DotDetector(), SMALL).report


@pytest.fixture(scope="module")
def reports() -> dict[int, Report]:
    dots = ((300.0, 300.0), (500.0, 500.0), (400.0, 700.0))
    return {count: score(*dots[:count]) for count in (0, 1, 3)}


def test_the_slide_with_the_fullest_hotspot_stands_for_its_case(tmp_path: Path, reports: dict[int, Report]) -> None:
    results = FolderBlobStore(tmp_path)
    members = [
        keep(results, "a1", reports[1], case="A"),
        keep(results, "a3", reports[3], case="A"),
        keep(results, "a2", reports[3], case="A"),
        TableMember(ManifestEntry("bad", "/b.svs", "A"), None, FAILURE),
        keep(results, "b", reports[0], case="B"),
        keep(results, "alone", reports[3]),
    ]
    write_part(results, 3, members[:3])
    write_part(results, 5, members[3:])
    write_cases(results, [3, 5])
    data = results.get(CASES)
    assert data is not None
    table = pyarrow.parquet.read_table(BytesIO(data))
    assert table.schema.metadata[b"research_use"] == RESEARCH_USE.encode()
    first, second = table.to_pylist()
    hotspot = reports[3].hotspots[0]
    assert (first["case"], first["slides"], first["slides_done"], first["mitotic_figures"]) == ("A", 4, 3, 7)
    assert (first["hotspot_slide"], first["hotspot_figures"]) == ("a2", 3)
    assert (first["hotspot_x"], first["hotspot_mm2"]) == (hotspot.x, hotspot.area_mm2)
    assert first["tissue_mm2"] == pytest.approx(3 * reports[1].counts.tissue_area_mm2, rel=0.01)
    assert (second["slides"], second["hotspot_slide"], second["hotspot_figures"]) == (1, None, None)
    before = (tmp_path / CASES).stat().st_mtime_ns
    write_cases(results, [3, 5])
    assert (tmp_path / CASES).stat().st_mtime_ns == before
    write_part(results, 3, members[5:])
    write_cases(results, [3])
    assert results.get(CASES) is None
