from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError
from tests.unit.serving.datasets.readers.layout import boxes, draw, imported

DOT = '<Annotation Name="0" Type="Dot" PartOfGroup="{group}" Color="#F4FA58"><Coordinates>{points}</Coordinates></Annotation>'
POINT = '<Coordinate Order="{order}" X="{x}" Y="{y}" />'


def write(folder: Path, *annotations: str) -> Path:
    """A file as ASAP writes it, its groups at the end."""
    draw(folder / "a.tif")
    path = folder / "a.xml"
    path.write_text(
        '<?xml version="1.0"?>\n<ASAP_Annotations>\n<Annotations>\n'
        + "\n".join(annotations)
        + '\n</Annotations>\n<AnnotationGroups><Group Name="mitosis" PartOfGroup="None" Color="#64FE2E" /></AnnotationGroups>\n'
        "</ASAP_Annotations>\n"
    )
    return path


def annotation(kind: str, group: str, *points: tuple[object, object]) -> str:
    listed = "".join(POINT.format(order=i, x=x, y=y) for i, (x, y) in enumerate(points))
    return DOT.replace('"Dot"', f'"{kind}"').format(group=group, points=listed)


def test_dots_and_outlines_are_labels_by_whole_group_name(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        annotation("Dot", "mitosis", (60, 50)),
        annotation("Dot", "non-mitosis", (150, 50)),
        annotation("Polygon", "Mitosis", (10, 20), (30, 25), (20, 50)),
    )
    assert boxes(imported("asap", path)[0].pictures[0]) == [
        ("mitotic figure", (35, 25, 85, 75)),
        ("look-alike", (125, 25, 175, 75)),
        ("mitotic figure", (10, 20, 30, 50)),
    ]


def test_numbers_with_the_comma_of_some_countries_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, annotation("Dot", "mitosis", ("60,5", "50,25")))
    assert imported("asap", path)[0].pictures[0].annotations[0].box == (35.5, 25.25, 85.5, 75.25)


def test_objects_without_a_group_are_counted_and_a_roi_limits_what_is_labelled(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        annotation("Dot", "None", (60, 50)),
        annotation("Rectangle", "ROI", (0, 0), (100, 0), (100, 100), (0, 100)),
    )
    dataset, report = imported("asap", path)
    assert report.dropped["objects without a class"] == 1
    assert dataset.pictures[0].unlabelled_areas == ((100, 0, 200, 100),)


@pytest.mark.parametrize(
    ("annotation_", "message"),
    [
        (
            annotation("Dot", "mitosis", (60, "low")),
            r"annotation 0 \(0\), coordinate 0, field Y: 'low' is not a number",
        ),
        (annotation("Circle", "mitosis", (60, 50)), r"annotation 0 \(0\), field Type: is 'Circle'"),
        (annotation("Dot", "mitosis"), r"annotation 0 \(0\), field Coordinates: holds no points"),
        ("<Annotation>", r"line 5, column \d+: is not XML"),
    ],
)
def test_a_wrong_file_is_named_by_annotation_and_field_or_by_line(
    tmp_path: Path, annotation_: str, message: str
) -> None:
    with pytest.raises(FormatError, match=rf"a\.xml: {message}"):
        imported("asap", write(tmp_path, annotation_))


def test_other_xml_and_entities_are_refused(tmp_path: Path) -> None:
    draw(tmp_path / "a.tif")
    path = tmp_path / "a.xml"
    path.write_text("<Annotations/>")
    with pytest.raises(FormatError, match="first element: is Annotations, must be ASAP_Annotations"):
        imported("asap", path)
    path.write_text('<!DOCTYPE a [<!ENTITY b "c">]><ASAP_Annotations>&b;</ASAP_Annotations>')
    with pytest.raises(FormatError, match="declares a document type"):
        imported("asap", path)
