"""The tables of a cohort: what is in them, and that parts are written once and to the same bytes."""

from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pyarrow.dataset
import pyarrow.parquet
import pytest

from serving.cohort.errors import UnavailableError
from serving.cohort.layout import Failure, list_folder, pack_report, report_name
from serving.cohort.manifest import ManifestEntry
from serving.cohort.tables import (
    DETECTIONS,
    PARTS,
    SLIDES,
    TableMember,
    choose_part,
    part_name,
    remove_parts,
    write_part,
)
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.core.words import RESEARCH_USE
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from serving.store.blob_store import BlobStore, FolderBlobStore
from serving.store.bucket_blob_store import BucketBlobStore
from tests.fakes import ATYPICAL_DOT, ClassifyingDots, DotDetector, plant, tissue

FAILURE = Failure(
    slide="bad", source="/b.svs", problem="unreadable-slide", detail="torn", passing=False, tries=1, key="k"
)


@pytest.fixture(scope="module")
def report() -> Report:
    pixels = tissue(1500, 1200)
    for x, y in ((300, 300), (900, 700)):
        plant(pixels, x, y)
    return score_slide(ArraySlide(pixels, mpp=0.25), DotDetector(), ScoringOptions()).report


@pytest.fixture(params=["folder", "bucket"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return FolderBlobStore(tmp_path) if request.param == "folder" else BucketBlobStore(f"memory:///{uuid4().hex}")


def keep(results: BlobStore, slide: str, report: Report, *, case: str = "") -> TableMember:
    results.put(report_name(slide), pack_report(report))
    stored = list_folder(results, "reports")[f"{slide}.json.gz"]
    return TableMember(ManifestEntry(slide, f"/data/{slide}.svs", case), stored)


def rows(results: BlobStore, table: str, part: int = 3) -> list[dict[str, object]]:
    data = results.get(part_name(table, part))
    assert data is not None
    found: list[dict[str, object]] = pyarrow.parquet.read_table(BytesIO(data)).to_pylist()
    return found


def test_a_slide_is_a_row_and_so_is_a_figure(results: BlobStore, report: Report) -> None:
    members = [
        keep(results, "s2", report),
        keep(results, "s1", report, case="c"),
        TableMember(ManifestEntry("bad", "/b.svs"), None, FAILURE),
    ]
    assert write_part(results, 3, members)
    bad, first, second = rows(results, SLIDES)
    assert (bad["slide"], bad["state"], bad["problem"], bad["mitotic_figures"]) == (
        "bad",
        "failed",
        "unreadable-slide",
        None,
    )
    assert (first["slide"], first["case"], first["state"]) == ("s1", "c", "done")
    assert first["mitotic_figures"] == report.counts.mitotic_figures == 2
    assert first["hotspot_figures"] == report.hotspots[0].mitotic_figures
    assert first["tissue_mm2"] == report.counts.tissue_area_mm2
    found = rows(results, DETECTIONS)
    assert [row["slide"] for row in found] == ["s1", "s1", "s2", "s2"]
    assert found[0]["case"] == "c"
    assert [row["x"] for row in found[:2]] == [d.x for d in report.detections]
    assert second["analysis_id"] == report.analysis_id


def test_atypical_figures_have_columns_which_are_null_without_their_model(results: BlobStore, report: Report) -> None:
    pixels = tissue(1500, 1200)
    plant(pixels, 300, 300)
    plant(pixels, 900, 700, colour=ATYPICAL_DOT)
    seen = score_slide(ArraySlide(pixels, mpp=0.25), ClassifyingDots(), ScoringOptions()).report
    write_part(results, 3, [keep(results, "s1", seen), keep(results, "s2", report)])
    first, second = rows(results, SLIDES)
    assert (first["atypical_figures"], first["atypical_share"], first["hotspot_atypical"]) == (1, 0.5, 1)
    assert first["models"] == "reg-ns 0.0.1, det 0.0.1, atypia 0.0.1"
    assert {second[name] for name in ("atypical_figures", "atypical_share", "hotspot_atypical")} == {None}
    said = [row["atypical_probability"] for row in rows(results, DETECTIONS)]
    assert said == [*(d.atypical_probability for d in seen.detections), None, None]


def test_a_part_is_written_again_only_where_its_slides_changed(results: BlobStore, report: Report) -> None:
    one = keep(results, "s1", report)
    assert write_part(results, 3, [one])
    first = results.get(part_name(SLIDES, 3))
    assert not write_part(results, 3, [one])
    two = keep(results, "s2", report)
    assert write_part(results, 3, [two, one])
    assert not write_part(results, 3, [one, two])
    assert write_part(results, 3, [one])
    assert results.get(part_name(SLIDES, 3)) == first


@pytest.mark.parametrize("table", [SLIDES, DETECTIONS])
@pytest.mark.parametrize("damage", [b"", b"PAR1 but not really", None])
def test_a_part_that_is_damaged_or_missing_is_written_again(
    results: BlobStore, report: Report, table: str, damage: bytes | None
) -> None:
    member = keep(results, "s1", report)
    write_part(results, 3, [member])
    whole = results.get(part_name(table, 3))
    if damage is None:
        results.delete(part_name(table, 3))
    else:
        results.put(part_name(table, 3), damage)
    assert write_part(results, 3, [member])
    assert results.get(part_name(table, 3)) == whole


def test_a_report_that_went_away_is_no_empty_row(results: BlobStore, report: Report) -> None:
    member = keep(results, "s1", report)
    results.put(report_name("s1"), b"torn")
    with pytest.raises(UnavailableError, match="the report of s1 was removed or changed"):
        write_part(results, 3, [member])


def test_parts_that_no_slide_is_in_any_more_go(results: BlobStore, report: Report) -> None:
    for part in (3, 4):
        write_part(results, part, [keep(results, "s1", report)])
    remove_parts(results, {4})
    assert list(list_folder(results, SLIDES)) == list(list_folder(results, DETECTIONS)) == ["part-04.parquet"]


def test_all_parts_are_one_table_even_without_figures(tmp_path: Path, report: Report) -> None:
    results = FolderBlobStore(tmp_path)
    write_part(results, 3, [keep(results, "s1", report)])
    write_part(results, 4, [TableMember(ManifestEntry("bad", "/b.svs"), None, FAILURE)])
    (tmp_path / "tables" / "slides" / ".x.part").write_bytes(b"a writer was killed")
    slides = pyarrow.dataset.dataset(tmp_path / "tables" / "slides").to_table()
    assert sorted(slides["state"].to_pylist()) == ["done", "failed"]
    assert pyarrow.dataset.dataset(tmp_path / "tables" / "detections").count_rows() == 2
    assert slides.schema.metadata[b"research_use"].decode() == RESEARCH_USE


def test_parts_are_about_as_full() -> None:
    counts = [0] * PARTS
    for number in range(6400):
        counts[choose_part(f"slide-{number}")] += 1
    assert min(counts) > 60
    assert max(counts) < 150
