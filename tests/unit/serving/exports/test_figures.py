"""Every format shows the figures that are counted, for any verdicts and threshold, and says whose they are."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import highdicom as hd
import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.core.options import CountingOptions
from serving.core.report import DetectionResult, JudgedObject
from serving.core.research_use import RESEARCH_USE
from serving.exports import EXPORTS
from serving.exports.errors import ExportError
from serving.exports.export import Export, whole
from serving.exports.figures import list_figures
from serving.exports.report_json import to_json
from serving.review.review_entry import LABELS
from serving.scoring.analysis import Analysis, MitosisMap
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.scoring.reviewed import ReviewDecision, find_centres, name_objects
from serving.slides.opening import open_slide
from tests.dicom import ORIGIN_MM, write_dicom_slide
from tests.fakes import DotDetector, plant, tissue

pytestmark = pytest.mark.property
MPP = 0.23
PLACES = [(437.0, 437.0), (1062.0, 812.0), (700.0, 900.0), (900.0, 300.0)]
"""Of dots that the model counts; those of `UNLIKELY`, with their sides in px, it does not."""
UNLIKELY = {(600.0, 300.0): 14, (1200.0, 500.0): 12}
ADDED = [(200.0, 700.0), (1300.0, 900.0), (300.0, 150.0)]
REVIEWER = 'Ä. "=^\\ <Müller>, Dr.'
SMALL = CountingOptions(hotspot_area=0.1, hotspots=2)
Rows = list[tuple[float, float, str, str]]
"""Centre (x, y), level-0 px, verdict and finder of each figure."""


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analysis, Path]:
    """A DICOM slide, since every format can hold one."""
    pixels = tissue(1800, 1400)
    for x, y in PLACES:
        plant(pixels, x, y)
    for (x, y), side in UNLIKELY.items():
        plant(pixels, x, y, side=side)
    folder = write_dicom_slide(tmp_path_factory.mktemp("dicom"), pixels, mpp=MPP)
    with open_slide(folder) as slide:
        analysis = score_slide(slide, DotDetector())
    assert (len(analysis.report.detections), len(analysis.report.candidates)) == (len(PLACES), len(UNLIKELY))
    return analysis, folder


def decide(analysis: Analysis, labels: list[str | None], added: list[str | None], names: list[str]) -> ReviewDecision:
    """labels : of detections and then candidates, None for no verdict. added : what is said of each place of `ADDED`."""
    objects = [
        JudgedObject(
            target=name,
            **found.model_dump(include={"x", "y", "width", "height", "probability"}),
            label=label,
            is_figure=LABELS[label],
        )
        for (name, found), label in zip(name_objects(analysis.report).items(), labels, strict=True)
        if label is not None
    ]
    objects += [
        JudgedObject(
            target=f"added-{i}",
            x=x - 20,
            y=y - 25,
            width=40,
            height=50,
            probability=None,
            label=label,
            is_figure=LABELS[label],
        )
        for i, ((x, y), label) in enumerate(zip(ADDED, added, strict=True))
        if label is not None
    ]
    return ReviewDecision(tuple(objects), tuple(names), majority=len(names) > 1, last_entry=len(objects))


def read_geojson(data: bytes) -> tuple[Rows, str]:
    document = json.loads(data)
    rows = []
    for f in document["features"]:
        if f["properties"].get("classification", {}).get("name") == "Mitosis":
            x, y = np.asarray(f["geometry"]["coordinates"][0][:4]).mean(0)
            about = f["properties"]["metadata"]
            rows.append((x, y, about["verdict"], about["found_by"]))
    return rows, json.dumps(document["review"])


def read_histomicsui(data: bytes) -> tuple[Rows, str]:
    document = json.loads(data)
    points = [e for e in document["elements"] if e["type"] == "point"]
    assert sum(e.get("group") == "mitotic figure" for e in document["elements"]) == 2 * len(points)
    assert len({e["id"] for e in document["elements"]}) == len(document["elements"])
    rows = [(*e["center"][:2], e["user"]["verdict"], e["user"]["found_by"]) for e in points]
    return rows, json.dumps(document["attributes"])


def read_asap(data: bytes) -> tuple[Rows, str]:
    tree = ElementTree.fromstring(data)
    rows: Rows = []
    for a in tree.iter("Annotation"):
        if a.get("PartOfGroup") == "mitotic figure":
            x, y = np.mean([[float(c.get(k, "")) for k in "XY"] for c in a.iter("Coordinate")], axis=0)
            rows.append((x, y, a.get("verdict", ""), a.get("found_by", "")))
    (annotations,) = tree.iter("Annotations")
    return rows, json.dumps(annotations.attrib)


def read_midog(data: bytes) -> tuple[Rows, str]:
    document = json.loads(data)
    rows = [
        (p["point"][0] * 1000 / MPP, p["point"][1] * 1000 / MPP, p["verdict"], p["found_by"])
        for p in document["points"]
    ]
    return rows, json.dumps(document["review"])


def read_coco(data: bytes) -> tuple[Rows, str]:
    document = json.loads(data)
    rows = [
        (a["bbox"][0] + a["bbox"][2] / 2, a["bbox"][1] + a["bbox"][3] / 2, a["verdict"], a["found_by"])
        for a in document["annotations"]
    ]
    assert all(("score" in a) == (a["found_by"] == "model") for a in document["annotations"])
    return rows, json.dumps(document["info"])


def read_table(data: bytes) -> tuple[Rows, str]:
    lines = list(csv.DictReader(io.StringIO(data.decode())))
    rows = [
        (
            float(r["x"]) + float(r["width"]) / 2,
            float(r["y"]) + float(r["height"]) / 2,
            r["verdict"],
            r["found_by"],
        )
        for r in lines
        if r["figure"] == "yes"
    ]
    # Where there is no line at all, nothing is said.
    stated = {"figures": "after review", **({k: lines[0][k] for k in ("threshold", "reviewers")} if lines else {})}
    return rows, json.dumps(stated)


def read_parquet(data: bytes) -> tuple[Rows, str]:
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    rows = [
        (r["x"] + r["width"] / 2, r["y"] + r["height"] / 2, r["verdict"], r["found_by"])
        for r in table.to_pylist()
        if r["figure"]
    ]
    return rows, json.dumps({k.decode(): v.decode() for k, v in table.schema.metadata.items() if k[:5] != b"ARROW"})


def read_annotations(data: bytes) -> tuple[Rows, str]:
    read = hd.ann.annread(io.BytesIO(data))
    rows: Rows = []
    said = set()
    for group in read.get_annotation_groups():
        verdict, finder = group.label.removeprefix("mitotic figures: ").split(", found by ")
        boxes = group.get_graphic_data(coordinate_type="2D")
        rows += [(*box.mean(0)[:2], verdict, finder) for box in boxes]
        said.add(group.AnnotationGroupDescription)
        assert (group.algorithm_type.value == "MANUAL") == (finder == "reviewer")
    (sentence,) = said
    return rows, sentence


def read_report(data: bytes) -> tuple[Rows, str]:
    read = hd.sr.srread(io.BytesIO(data))
    rows: Rows = []
    for g in read.content.get_planar_roi_measurement_groups():
        if g.tracking_identifier.startswith("figure"):
            at = g.roi.value[0]
            said = {e.name.value: e.value.meaning for e in g.get_qualitative_evaluations()}
            x, y = (ORIGIN_MM[1] - at[1]) * 1000 / MPP + 0.5, (ORIGIN_MM[0] - at[0]) * 1000 / MPP + 0.5
            rows.append((x, y, said["verdict"], said["found_by"]))
    texts = [i.TextValue for i in read.content[0].ContentSequence if i.get("TextValue")]
    return rows, texts[-1]


READERS: dict[str, Callable[[bytes], tuple[Rows, str]]] = {
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
COUNTS_ONLY = {"report", "csv", "html", "pdf", "png"}
"""Formats that state or draw the counts, and list no figures apart from the report's own lists."""
NO_FIGURES = {"tiff", "ome-tiff"}
LABEL = st.sampled_from([None, *LABELS])
FIGURES = st.lists(LABEL, min_size=len(PLACES) + len(UNLIKELY), max_size=len(PLACES) + len(UNLIKELY))


def test_every_format_is_tested_here() -> None:
    assert set(READERS) | COUNTS_ONLY | NO_FIGURES == set(EXPORTS)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    labels=FIGURES,
    added=st.lists(LABEL, min_size=len(ADDED), max_size=len(ADDED)),
    threshold=st.sampled_from([None, 0.05, 0.3, 0.9]),
    names=st.sampled_from([[], [REVIEWER], ["A", REVIEWER]]),
)
def test_every_format_shows_the_figures_that_are_counted(
    dicom: tuple[Analysis, Path],
    labels: list[str | None],
    added: list[str | None],
    threshold: float | None,
    names: list[str],
) -> None:
    made, folder = dicom
    least = 0.5 if threshold is None else threshold
    model = {name for name, d in name_objects(made.report).items() if d.probability >= least}
    expected: list[tuple[float, float, str, str]] = []
    for (name, found), label in zip(name_objects(made.report).items(), labels, strict=True):
        if LABELS[label] if label is not None else name in model:
            ((x, y),) = find_centres([found]).tolist()
            expected.append((x, y, label or "not judged", "model"))
    expected += [
        (x, y, label, "reviewer") for (x, y), label in zip(ADDED, added, strict=True) if label and LABELS[label]
    ]
    analysis = recount(made, SMALL, threshold=threshold, decision=decide(made, labels, added, names))
    review = analysis.report.review
    assert review is not None
    assert review.counts.mitotic_figures == len(expected)  # as /counts states
    for name, read in READERS.items():
        if name == "dicom-ann" and not expected:
            with pytest.raises(ExportError, match="no mitotic figures"):
                EXPORTS[name].render(analysis, folder)
            continue
        rows, stated = read(EXPORTS[name].render(analysis, folder))
        assert len(rows) == len(expected), name
        for row, wanted in zip(sorted(rows), sorted(expected), strict=True):
            assert row[:2] == pytest.approx(wanted[:2], abs=0.5), name
            assert row[2:] == wanted[2:], name
        assert "after review" in stated, name
        if name != "detections-csv" or rows:
            assert f"{least:g}" in stated, name
            assert "Dr." in stated if names else "nobody yet" in stated, name
    tiles = csv.DictReader(io.StringIO(EXPORTS["csv"].render(analysis).decode()))
    assert sum(int(tile["after_review"]) for tile in tiles) == len(expected)


def test_what_shows_counts_says_that_they_are_after_review(dicom: tuple[Analysis, Path]) -> None:
    made, _ = dicom
    labels: list[str | None] = ["Apoptotic body", *[None] * (len(PLACES) + len(UNLIKELY) - 1)]
    plain, reviewed = (
        recount(made, SMALL),
        recount(made, SMALL, decision=decide(made, labels, ["Mitosis"] * 3, [REVIEWER])),
    )
    assert EXPORTS["png"].render(plain) != EXPORTS["png"].render(reviewed)
    assert "After review" in EXPORTS["html"].render(reviewed).decode()
    assert EXPORTS["pdf"].render(reviewed).startswith(b"%PDF-")
    assert json.loads(EXPORTS["report"].render(reviewed))["review"]["added"] == 3
    for name in NO_FIGURES:
        assert EXPORTS[name].render(plain) == EXPORTS[name].render(reviewed)


def test_a_format_that_knows_of_no_review_is_refused_for_one(dicom: tuple[Analysis, Path]) -> None:
    made, _ = dicom
    export = Export("counts.txt", "counts.txt", "application/vnd.example.counts", whole(to_json))
    assert export.render(recount(made, SMALL))
    decision = decide(made, [None] * (len(PLACES) + len(UNLIKELY)), [None] * 3, ["A"])
    with pytest.raises(ExportError, match=r"review=off"):
        export.render(recount(made, SMALL, decision=decision))


def test_dicom_identifies_each_review_apart(dicom: tuple[Analysis, Path]) -> None:
    made, folder = dicom
    n = len(PLACES) + len(UNLIKELY)
    said: list[list[str | None]] = [[None] * n, ["Mitosis", *[None] * (n - 1)], ["Atypical mitosis", *[None] * (n - 1)]]
    reviews = [recount(made, SMALL, decision=decide(made, labels, [None] * 3, ["A"])) for labels in said]
    analyses = [recount(made, SMALL), *reviews]
    uids = [hd.ann.annread(io.BytesIO(EXPORTS["dicom-ann"].render(a, folder))).SOPInstanceUID for a in analyses]
    assert len(set(uids)) == len(uids)


def test_two_verdicts_on_two_equal_objects_both_count(dicom: tuple[Analysis, Path]) -> None:
    made, _ = dicom
    first = made.report.detections[0]
    twins = made.report.model_copy(update={"detections": [first, first]})
    labels: list[str | None] = ["Mitosis", "Not mitosis", *[None] * len(UNLIKELY)]
    twin_analysis = replace(made, report=twins)
    analysis = recount(twin_analysis, SMALL, decision=decide(twin_analysis, labels, [None] * 3, ["A"]))
    assert analysis.report.review is not None
    assert analysis.report.review.counts.mitotic_figures == len(list(list_figures(analysis.report))) == 1


@pytest.fixture
def fixed(dicom: tuple[Analysis, Path]) -> Analysis:
    """One figure, and nothing that changes with slides, models or versions."""
    made, _ = dicom
    empty = MitosisMap(np.empty((0, 0), np.float32), 0.0, 0.0, 1.0, 1.0, MPP)
    slide = made.report.slide.model_copy(
        update={"name": "a.svs", "sha256": "ab", "mpp": 0.25, "width": 1000, "height": 800, "bounds": None}
    )
    figure = DetectionResult(x=10.0, y=20.5, width=40.0, height=50.0, probability=0.75, score=0.5)
    report = made.report.model_copy(
        update={
            "analysis_id": "id",
            "schema_version": "1.4",
            "slide": slide,
            "detections": [figure],
            "hotspots": [],
            "tiles": [],
        }
    )
    return replace(made, report=report, mitosis_map=empty)


WITHOUT_REVIEW = {
    "asap": (
        '<?xml version="1.0"?>\n<!-- USE -->\n<ASAP_Annotations><Annotations ><Annotation Name="figure 0 (0'
        '.750)" Type="Rectangle" PartOfGroup="mitotic figure" Color="#c80000"><Coordinates><Coordinate Or'
        'der="0" X="10.00" Y="20.50"/><Coordinate Order="1" X="50.00" Y="20.50"/><Coordinate Order="2" X='
        '"50.00" Y="70.50"/><Coordinate Order="3" X="10.00" Y="70.50"/></Coordinates></Annotation></Annot'
        'ations><AnnotationGroups><Group Name="mitotic figure" PartOfGroup="None" Color="#c80000"><Attrib'
        'utes/></Group><Group Name="hotspot" PartOfGroup="None" Color="#0072b2"><Attributes/></Group></An'
        "notationGroups></ASAP_Annotations>\n"
    ),
    "coco": (
        '{"info": {"description": "USE", "version": "1.4", "analysis": "id"}, "licenses": [], "images": ['
        '{"id": 1, "file_name": "a.svs", "width": 1000, "height": 800}], "categories": [{"id": 1, "name":'
        ' "mitotic figure"}],"annotations":[{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10.0, 20.'
        '5, 40.0, 50.0], "area": 2000.0, "iscrowd": 0, "score": 0.75}]}\n'
    ),
    "detections-csv": ("x,y,width,height,probability,score\n10.0,20.5,40.0,50.0,0.75,0.5\n"),
    "geojson": (
        '{"type":"FeatureCollection","features":[{"type":"Feature","id":"8bcb32b8-c288-541c-9182-ee5fa9b5'
        '6aee","geometry":{"type":"Polygon","coordinates":[[[10.0,20.5],[50.0,20.5],[50.0,70.5],[10.0,70.'
        '5],[10.0,20.5]]]},"properties":{"objectType":"detection","classification":{"name":"Mitosis","col'
        'or":[200,0,0]},"measurements":{"probability":0.75,"screening score":0.5},"metadata":{"analysis":'
        '"id","use":"USE"}}}]}\n'
    ),
    "histomicsui": (
        '{"name": "Mitoserve id", "description": "USE", "attributes": {"analysis": "id", "slide": "ab"},"'
        'elements":[{"type":"point","id":"4738166394c961f4b629266a","center":[30.0,45.5,0],"user":{"proba'
        'bility":0.75,"score":0.5},"group":"mitotic figure","label":{"value":"0.75"},"lineColor":"rgb(200'
        ', 0, 0)"},{"type":"rectangle","id":"5cbd6e8a9f6b469e26af6e2e","center":[30.0,45.5,0],"width":40.'
        '0,"height":50.0,"rotation":0,"user":{"probability":0.75,"score":0.5},"group":"mitotic figure","l'
        'abel":{"value":"0.75"},"lineColor":"rgb(200, 0, 0)"}]}\n'
    ),
    "midog": (
        '{"type":"Multiple points","points":[{"point": [0.0075, 0.011375, 0], "probability": 0.75, "name"'
        ': "mitotic figure"}],"version":{"major":1,"minor":0}}\n'
    ),
}
"""The files before any format knew of reviews; USE stands for the research-use line."""


@pytest.mark.parametrize("name", sorted(WITHOUT_REVIEW))
def test_without_a_review_files_are_what_they_were(fixed: Analysis, name: str) -> None:
    assert EXPORTS[name].render(fixed).decode().replace(RESEARCH_USE, "USE") == WITHOUT_REVIEW[name]
