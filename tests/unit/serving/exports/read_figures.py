"""The figures that a file of each format states, and what it says of them, as other programs read it."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from xml.etree import ElementTree

import highdicom as hd
import numpy as np
import pyarrow.parquet

from tests.dicom import ORIGIN_MM
from tests.unit.serving.exports.conftest import MPP

Rows = list[tuple[float, float, str, str]]
"""Centre (x, y), level-0 px, verdict and finder of each figure."""


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
