"""Without a review, files are byte for byte what they were before any format knew of reviews."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving.core.report import DetectionResult
from serving.core.words import RESEARCH_USE
from serving.exports import EXPORTS
from serving.scoring.analysis import Analysis, MitosisMap
from tests.unit.serving.exports.conftest import MPP


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
"""USE stands for the research-use line."""


@pytest.mark.parametrize("name", sorted(WITHOUT_REVIEW))
def test_without_a_review_files_are_what_they_were(fixed: Analysis, name: str) -> None:
    assert EXPORTS[name].render(fixed).decode().replace(RESEARCH_USE, "USE") == WITHOUT_REVIEW[name]
