"""Every format read back, by its own reader where there is one in Python: counts equal, centres within half a pixel, also at 0.23 um/px and with bounds."""

import csv
import gzip
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import highdicom as hd
import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pyarrow.parquet
import pydicom
import pytest
import tifffile
from pycocotools.coco import COCO

from serving.core.options import CountingOptions, ScoringOptions
from serving.core.words import RESEARCH_USE
from serving.exports import EXPORTS
from serving.exports.dicom_report import to_dicom_report
from serving.exports.export import ExportError
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from serving.slides.opening import open_slide
from tests.dicom import ORIGIN_MM, write_dicom_slide
from tests.fakes import DotDetector, plant, tissue

MPP = 0.23
BOUNDS = (300, 200, 1800, 1100)
SCHEMA = Path(__file__).with_name("histomicsui.schema.json")
SMALL = ScoringOptions(counting=CountingOptions(hotspot_area=0.1, hotspot_shape="disc"))


@pytest.fixture(scope="module", params=["plain", "bounds"])
def scored(request: pytest.FixtureRequest) -> Analysis:
    pixels = tissue(2200, 1500)
    for x, y in ((437.0, 437.0), (1062.0, 812.0), (1300.0, 1100.0)):
        plant(pixels, x, y)
    slide = ArraySlide(pixels, mpp=MPP, name='a "<&>" slide.svs')
    slide.bounds = BOUNDS if request.param == "bounds" else None
    analysis = score_slide(slide, DotDetector(), SMALL)
    assert analysis.report.counts.mitotic_figures == 3
    return analysis


def centres(analysis: Analysis) -> np.ndarray:
    return np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in analysis.report.detections])


def geojson(data: bytes, analysis: Analysis) -> np.ndarray:
    """QuPath begins where the bounds do."""
    rings = [
        np.asarray(f["geometry"]["coordinates"][0][:4])
        for f in json.loads(data)["features"]
        if f["properties"]["objectType"] == "detection"
    ]
    left, top = (analysis.report.slide.bounds or (0, 0))[:2]
    return np.asarray(np.asarray([ring.mean(0) for ring in rings]) + np.asarray([left, top]))


def histomicsui(data: bytes, _: Analysis) -> np.ndarray:
    return np.asarray([e["center"][:2] for e in json.loads(data)["elements"] if e["type"] == "point"])


def asap(data: bytes, _: Analysis) -> np.ndarray:
    found = [a for a in ElementTree.fromstring(data).iter("Annotation") if a.get("PartOfGroup") == "mitotic figure"]
    corners = [[[float(c.get(k, "")) for k in "XY"] for c in a.iter("Coordinate")] for a in found]
    return np.asarray(np.mean(corners, axis=1))


def midog(data: bytes, _: Analysis) -> np.ndarray:
    return np.asarray([p["point"][:2] for p in json.loads(data)["points"]]) * 1000 / MPP


def coco(data: bytes, _: Analysis) -> np.ndarray:
    read = COCO()
    read.dataset = json.loads(data)
    read.createIndex()
    boxes = np.asarray([a["bbox"] for a in read.loadAnns(read.getAnnIds(catIds=[1]))])
    return boxes[:, :2] + boxes[:, 2:] / 2


def table(data: bytes, _: Analysis) -> np.ndarray:
    rows = np.asarray(
        [[float(r[k]) for k in ("x", "y", "width", "height")] for r in csv.DictReader(io.StringIO(data.decode()))]
    )
    return rows[:, :2] + rows[:, 2:] / 2


def parquet(data: bytes, _: Analysis) -> np.ndarray:
    read = pyarrow.parquet.read_table(io.BytesIO(data))
    assert read.schema.metadata[b"research_use"].decode() == RESEARCH_USE
    x, y, w, h = (read.column(k).to_numpy() for k in ("x", "y", "width", "height"))
    return np.stack([x + w / 2, y + h / 2], 1)


READERS: dict[str, Callable[[bytes, Analysis], np.ndarray]] = {
    "geojson": geojson,
    "geojson-gz": lambda data, analysis: geojson(gzip.decompress(data), analysis),
    "histomicsui": histomicsui,
    "asap": asap,
    "midog": midog,
    "coco": coco,
    "detections-csv": table,
    "parquet": parquet,
}


@pytest.mark.parametrize("name", READERS)
def test_figures_come_back(scored: Analysis, name: str) -> None:
    found = READERS[name](EXPORTS[name].render(scored), scored)
    assert found.shape == (3, 2)
    assert np.abs(found - centres(scored)).max() < 0.5


@pytest.mark.parametrize("name", [name for name, export in EXPORTS.items() if not export.needs_slide])
def test_the_same_analysis_gives_the_same_bytes(scored: Analysis, name: str) -> None:
    assert EXPORTS[name].render(scored) == EXPORTS[name].render(scored)


def test_histomicsui_is_valid_and_holds_the_map(scored: Analysis) -> None:
    document = json.loads(EXPORTS["histomicsui"].render(scored))
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    (grid,) = (e for e in document["elements"] if e["type"] == "griddata")
    values = np.asarray(grid["values"]).reshape(-1, grid["gridWidth"])
    row, column = np.unravel_index(np.argmax(values), values.shape)
    place = np.asarray(grid["origin"][:2]) + np.asarray([column * grid["dx"], row * grid["dy"]])
    assert np.abs(place - centres(scored)).max(1).min() < grid["dx"]
    assert sum(e.get("group") == "hotspot" for e in document["elements"]) == len(scored.report.hotspots)


def test_ome_tiff_states_its_pitch(scored: Analysis) -> None:
    with tifffile.TiffFile(io.BytesIO(EXPORTS["ome-tiff"].render(scored))) as tiff:
        assert tiff.is_ome
        assert np.array_equal(tiff.asarray(), scored.mitosis_map.scores, equal_nan=True)
        pixels = ElementTree.fromstring(tiff.ome_metadata or "").find(".//{*}Pixels")
    assert pixels is not None
    assert float(pixels.get("PhysicalSizeX", "")) == pytest.approx(scored.mitosis_map.step * MPP)


def test_hotspots_that_are_discs_have_their_area(scored: Analysis) -> None:
    features = json.loads(EXPORTS["geojson"].render(scored))["features"]
    rings = [
        np.asarray(f["geometry"]["coordinates"][0]) for f in features if f["properties"]["objectType"] == "annotation"
    ]
    for ring, hotspot in zip(rings, scored.report.hotspots, strict=True):
        x, y = ring.T
        area = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2 * (MPP / 1000) ** 2
        assert area == pytest.approx(hotspot.area_mm2, rel=0.01)


def test_the_printed_report_says_what_it_must(scored: Analysis) -> None:
    page = EXPORTS["appendix-html"].render(scored).decode()
    assert page.count(RESEARCH_USE) >= 2
    for said in (
        scored.report.analysis_id,
        scored.report.slide.sha256,
        "uncalibrated",
        "a &quot;&lt;&amp;&gt;&quot; slide",
    ):
        assert said in page
    assert "<script" not in page
    pdf = EXPORTS["appendix-pdf"].render(scored)
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analysis, Path]:
    pixels = tissue(1500, 1100)
    for x, y in ((437.0, 437.0), (1062.0, 812.0)):
        plant(pixels, x, y)
    folder = write_dicom_slide(tmp_path_factory.mktemp("dicom"), pixels, mpp=MPP)
    with open_slide(folder) as slide:
        assert (slide.width, slide.height, slide.vendor) == (1500, 1100, "dicom")
        assert slide.mpp == pytest.approx(MPP)
        return score_slide(slide, DotDetector(), SMALL), folder


def test_dicom_annotations_are_read_by_highdicom(dicom: tuple[Analysis, Path]) -> None:
    analysis, folder = dicom
    data = EXPORTS["dicom-ann"].render(analysis, folder)
    read = hd.ann.annread(io.BytesIO(data))
    again = hd.ann.annread(io.BytesIO(EXPORTS["dicom-ann"].render(analysis, folder)))
    assert again.SOPInstanceUID == read.SOPInstanceUID
    assert read.SOPClassUID == "1.2.840.10008.5.1.4.1.1.91.1"
    (group,) = read.get_annotation_groups()
    boxes = group.get_graphic_data(coordinate_type="2D")
    found = np.asarray([box.mean(0) for box in boxes])[:, :2]
    assert np.abs(found - centres(analysis)).max() < 0.5
    _, values, _ = group.get_measurements()
    assert values[:, 0].tolist() == pytest.approx([d.probability for d in analysis.report.detections])
    source = pydicom.dcmread(folder / "level-0.dcm", stop_before_pixels=True)
    assert read.ReferencedImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_a_dicom_report_places_figures_in_mm(dicom: tuple[Analysis, Path]) -> None:
    analysis, folder = dicom
    read = hd.sr.srread(io.BytesIO(EXPORTS["dicom-sr"].render(analysis, folder)))
    groups = read.content.get_planar_roi_measurement_groups()
    names = [group.tracking_identifier for group in groups]
    points = np.asarray([g.roi.value[0] for g, name in zip(groups, names, strict=True) if name.startswith("figure")])
    # Columns of the test's slide run along -y, rows along -x; the origin is the middle of the first px.
    px = np.stack([ORIGIN_MM[1] - points[:, 1], ORIGIN_MM[0] - points[:, 0]], 1) * 1000 / MPP + 0.5
    expected = centres(analysis)[np.argsort([-d.probability for d in analysis.report.detections], kind="stable")]
    assert np.abs(px - expected).max() < 0.5
    hotspots = [g for g, name in zip(groups, names, strict=True) if name.startswith("hotspot")]
    counts = [g.get_measurements()[0].value for g in hotspots]
    assert counts == [h.mitotic_figures for h in analysis.report.hotspots]


def test_a_dicom_report_of_more_figures_than_it_takes_holds_the_likeliest_and_says_so(
    dicom: tuple[Analysis, Path],
) -> None:
    analysis, folder = dicom
    one, rng = analysis.report.detections[0], np.random.default_rng(3)
    most, count = 200, 250
    drawn = zip(
        rng.uniform(0, 1400, count).round(2).tolist(),
        rng.uniform(0, 1000, count).round(2).tolist(),
        rng.permutation(np.linspace(0.5, 0.99, count)).tolist(),
        strict=True,
    )
    many = [one.model_copy(update={"x": x, "y": y, "probability": p}) for x, y, p in drawn]
    counts = analysis.report.counts.model_copy(update={"mitotic_figures": count})
    report = analysis.report.model_copy(update={"detections": many, "counts": counts})
    read = hd.sr.srread(io.BytesIO(b"".join(to_dicom_report(replace(analysis, report=report), folder, most=most))))
    groups = read.content.get_planar_roi_measurement_groups()
    points = [g.roi.value[0] for g in groups if str(g.tracking_identifier).startswith("figure")]
    assert len(points) == most
    px = (
        np.stack([ORIGIN_MM[1] - np.asarray(points)[:, 1], ORIGIN_MM[0] - np.asarray(points)[:, 0]], 1) * 1000 / MPP
        + 0.5
    )
    likeliest = sorted(many, key=lambda d: -d.probability)[:most]
    expected = np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in likeliest])
    assert np.abs(px - expected).max() < 0.5
    said = [str(item.TextValue) for item in read.content[0].ContentSequence if "TextValue" in item]
    assert said[-1:] == [f"The {most} likeliest of {count} mitotic figures; report.ann.dcm (dicom-ann) holds all"]
    annotations = hd.ann.annread(io.BytesIO(EXPORTS["dicom-ann"].render(replace(analysis, report=report), folder)))
    (group,) = annotations.get_annotation_groups()
    assert group.number_of_annotations == count


@pytest.mark.parametrize("name", ["dicom-ann", "dicom-sr"])
def test_a_dicom_validator_finds_no_error(dicom: tuple[Analysis, Path], name: str, tmp_path: Path) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy on this machine; on Debian and Ubuntu: apt-get install dicom3tools")
    analysis, folder = dicom
    (tmp_path / "made.dcm").write_bytes(EXPORTS[name].render(analysis, folder))
    said = subprocess.run([program, tmp_path / "made.dcm"], capture_output=True, text=True, check=False).stderr
    errors = [line for line in said.splitlines() if line.startswith("Error")]
    # It reports this of an attribute that is not there (release 20220618).
    assert [line for line in errors if "<CommonZCoordinateValue> = <>" not in line] == []


@pytest.mark.parametrize("name", ["dicom-ann", "dicom-sr"])
def test_a_slide_that_is_not_dicom_has_no_dicom(scored: Analysis, dicom: tuple[Analysis, Path], name: str) -> None:
    with pytest.raises(ExportError, match="--slide"):
        EXPORTS[name].render(scored)
    with pytest.raises(ExportError, match="wsidicomizer"):
        EXPORTS[name].render(scored, Path("a.svs"))
    with pytest.raises(ExportError, match="2200 x 1500"):
        EXPORTS[name].render(scored, dicom[1])


@pytest.mark.parametrize("name", [n for n in EXPORTS if not EXPORTS[n].needs_slide])
def test_an_analysis_without_figures_is_exported_too(scored: Analysis, name: str) -> None:
    report = scored.report.model_copy(update={"detections": [], "hotspots": []})
    assert EXPORTS[name].render(replace(scored, report=report))
