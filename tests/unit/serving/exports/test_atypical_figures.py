"""Every format states what the atypia model says of its figures, and no format says a word where there is none."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import highdicom as hd
import pyarrow.parquet
import pytest

from serving.core.options import CountingOptions
from serving.exports import EXPORTS
from serving.exports.figures import list_figures, list_objects
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.slides.opening import open_slide
from tests.dicom import write_dicom_slide
from tests.fakes import ATYPICAL_DOT, DOT, ClassifyingDots, DotDetector, plant, tissue
from tests.unit.serving.scoring.test_recount import make_decision

SMALL = CountingOptions(hotspot_area=0.1, hotspots=2)
PLACES = {(437, 437): DOT, (1062, 812): ATYPICAL_DOT, (700, 900): DOT, (900, 300): ATYPICAL_DOT}
Said = list[tuple[float, bool]]
"""Probability and word of each figure."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = tissue(1800, 1400)
    for (x, y), colour in PLACES.items():
        plant(pixels, x, y, colour=colour)
    return write_dicom_slide(tmp_path_factory.mktemp("dicom"), pixels, mpp=0.25)


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Analysis:
    with open_slide(folder) as slide:
        return recount(score_slide(slide, ClassifyingDots()), SMALL)


def read_geojson(data: bytes) -> Said:
    document = json.loads(data)
    assert document["atypia"] == {"atypia_model": "atypia 0.0.1", "atypical_threshold": "0.5"}
    found = [f["properties"] for f in document["features"] if f["properties"]["objectType"] == "detection"]
    hotspot = next(f["properties"] for f in document["features"] if f["properties"]["objectType"] == "annotation")
    assert hotspot["measurements"]["atypical figures"] == 2
    return [(p["measurements"]["atypical probability"], p["metadata"]["atypical"] == "yes") for p in found]


def read_table(data: bytes) -> Said:
    lines = csv.DictReader(io.StringIO(data.decode()))
    return [(float(line["atypical_probability"]), line["atypical"] == "yes") for line in lines]


def read_parquet(data: bytes) -> Said:
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert table.schema.metadata[b"atypia_model"] == b"atypia 0.0.1"
    return [(row["atypical_probability"], row["atypical"]) for row in table.to_pylist()]


def read_coco(data: bytes) -> Said:
    document = json.loads(data)
    assert document["info"]["atypical_threshold"] == "0.5"
    said = [a["attributes"] for a in document["annotations"]]
    return [(s["atypical_probability"], s["atypical"]) for s in said]


def read_midog(data: bytes) -> Said:
    document = json.loads(data)
    assert document["atypia"]["atypia_model"] == "atypia 0.0.1"
    return [(p["atypical_probability"], p["atypical"]) for p in document["points"]]


def read_histomicsui(data: bytes) -> Said:
    document = json.loads(data)
    assert document["attributes"]["atypia_model"] == "atypia 0.0.1"
    elements = document["elements"]
    assert next(e for e in elements if e.get("group") == "hotspot")["user"]["atypical_figures"] == 2
    said = [e["user"] for e in elements if e["type"] == "point"]
    return [(s["atypical_probability"], s["atypical"]) for s in said]


def read_asap(data: bytes) -> Said:
    tree = ElementTree.fromstring(data)
    found = [a for a in tree.iter("Annotation") if a.get("PartOfGroup") == "mitotic figure"]
    for a in found:
        assert ("atypical" in a.get("Name", "")) == (a.get("atypical") == "yes")
    return [(float(a.get("atypical_probability", "")), a.get("atypical") == "yes") for a in found]


def read_annotations(data: bytes) -> Said:
    (group,) = hd.ann.annread(io.BytesIO(data)).get_annotation_groups()
    names, values, _ = group.get_measurements()
    column = [name.meaning for name in names].index("Probability that a mitotic figure is atypical")
    return [(float(p), float(p) >= 0.5) for p in values[:, column]]


def read_report(data: bytes) -> Said:
    groups = hd.sr.srread(io.BytesIO(data)).content.get_planar_roi_measurement_groups()
    measured = {g.tracking_identifier: {m.name.value: m.value for m in g.get_measurements()} for g in groups}
    assert measured["hotspot 1"]["atypical-count"] == 2
    said = [float(m["atypical"]) for name, m in measured.items() if name.startswith("figure")]
    return [(p, p >= 0.5) for p in said]


READERS: dict[str, Callable[[bytes], Said]] = {
    "geojson": read_geojson,
    "geojson-gz": lambda data: read_geojson(gzip.decompress(data)),
    "histomicsui": read_histomicsui,
    "asap": read_asap,
    "midog": read_midog,
    "coco": read_coco,
    "detections-csv": read_table,
    "parquet": read_parquet,
    "dicom-ann": read_annotations,
    "dicom-sr": read_report,
}


@pytest.mark.parametrize("name", sorted(READERS))
def test_each_figure_has_its_probability_and_word(analysis: Analysis, folder: Path, name: str) -> None:
    said = READERS[name](EXPORTS[name].render(analysis, folder))
    wanted = [(figure.atypical_probability, figure.atypical) for figure in list_figures(analysis.report)]
    assert sorted(word for _, word in said) == [False, False, True, True]
    assert sorted(p for p, _ in said) == pytest.approx(sorted(p for p, _ in wanted if p is not None), abs=1e-5)


@pytest.mark.parametrize("name", ["appendix-html", "html", "pdf", "report"])
def test_what_states_counts_states_those_of_atypical_figures(analysis: Analysis, name: str) -> None:
    data = EXPORTS[name].render(analysis)
    if name == "report":
        assert json.loads(data)["counts"]["atypical"] == {"figures": 2, "of": 4, "share": 0.5}
    elif name in ("appendix-html", "html"):
        assert "2 of 4 (50%)" in data.decode()
        assert "atypia 0.0.1" in data.decode()
    else:
        assert data.startswith(b"%PDF-")


def test_after_review_a_rejected_figure_is_no_atypical_one(analysis: Analysis) -> None:
    objects = list(list_objects(analysis.report))
    rejected = next(shown.key for shown in objects if shown.atypical)
    decision = make_decision(analysis.report, {rejected: False}, added=((300.0, 900.0),))
    report = recount(analysis, SMALL, decision=decision).report
    shown = list(list_objects(report))
    assert report.review is not None
    assert report.review.counts.atypical is not None
    assert sum(bool(one.atypical) for one in shown) == report.review.counts.atypical.figures == 1
    assert report.review.counts.atypical.of == 3
    lines = list(
        csv.DictReader(
            io.StringIO(EXPORTS["detections-csv"].render(recount(analysis, SMALL, decision=decision)).decode())
        )
    )
    by_finder = {line["found_by"]: line for line in lines if line["found_by"] == "reviewer" or line["figure"] == "no"}
    assert (by_finder["reviewer"]["atypical"], by_finder["reviewer"]["atypical_probability"]) == ("", "")
    assert by_finder["model"]["atypical"] == "no"


def test_without_an_atypia_model_no_format_speaks_of_it(folder: Path) -> None:
    with open_slide(folder) as slide:
        plain = recount(score_slide(slide, DotDetector()), SMALL)
    for name in set(READERS) | {"html", "appendix-html"}:
        assert b"atypi" not in EXPORTS[name].render(plain, folder).lower(), name
