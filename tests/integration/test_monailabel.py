"""A session of QuPath's MONAI Label extension, call by call as its source makes them (RequestUtils, MonaiLabelClient)."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.clients import LocalClient
from tests.samples import write_leica, write_pyramid
from tests.services import DOTS, bring, field, kind, serving

pytestmark = pytest.mark.integration

BODY = '{"level":0,"location":[%d,%d],"size":[%d,%d],"tile_size":[1024,1024],"min_poly_area":30,"params":{"foreground":[],"background":[],"max_workers":1}}'
BOUNDARY = "170141183460469231731687303715884105727"
"""A random number of 128 bits, as the extension makes it."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state") as client:
        yield client


def polygons(content: bytes) -> list[list[tuple[float, float]]]:
    """Points of each annotation, by the extension's own way through the document."""
    annotations = list(ElementTree.fromstring(content).iter("Annotation"))
    assert {a.attrib["Name"] for a in annotations} <= {"Mitosis"}
    return [[(float(c.attrib["X"]), float(c.attrib["Y"])) for c in points] for a in annotations for points in a]


def centres(content: bytes) -> list[tuple[float, float]]:
    return sorted((sum(x for x, _ in p) / len(p), sum(y for _, y in p) / len(p)) for p in polygons(content))


def test_info_has_every_field_that_the_client_reads(client: LocalClient) -> None:
    info = client.get("/v1/monailabel/info/").json()
    assert {"name", "description", "version", "labels", "models", "strategies", "trainers"} == set(info)
    for model in info["models"].values():
        assert {"type", "dimension", "description", "labels", "pathology", "nuclick"} == set(model)
        assert isinstance(model["labels"], list)  # null ends the client
        assert model["nuclick"] is False
    assert client.get("/v1/monailabel/auth/").status_code == 404  # anything but 200 means that there is none


def test_a_slide_that_is_here_is_scored_where_it_was_selected(client: LocalClient, tmp_path: Path) -> None:
    pixels = Image.open(io.BytesIO(field()))
    slide = write_pyramid(tmp_path / "a.tif", np.asarray(pixels))
    assert client.head("/v1/monailabel/datastore/image?image=My+slide").status_code == 404
    bring(client, slide.read_bytes(), "My slide.tif")
    assert client.head("/v1/monailabel/datastore/image?image=My+slide").status_code == 200
    answer = client.post(
        "/v1/monailabel/infer/wsi/mitosis?output=asap&image=My+slide", content=(BODY % (500, 300, 400, 400)).encode()
    )
    assert answer.status_code == 200
    assert centres(answer.content) == [pytest.approx(DOTS[1], abs=1)]
    root = ElementTree.fromstring(answer.content)
    assert [child.tag for child in root] == ["Annotations", "AnnotationGroups"]
    assert set(root[0].attrib) == {"Name", "Description", "Model", "X", "Y", "W", "H"}
    annotation = root[0][0]
    assert {"Name", "Type", "PartOfGroup", "Color"} <= set(annotation.attrib)
    assert float(annotation.attrib["Score"]) == pytest.approx(0.99)  # the score is kept
    assert root[1][0].attrib == {"Name": "Mitosis", "PartOfGroup": "None", "Color": "#c80000"}
    everything = client.post(
        "/v1/monailabel/infer/wsi/mitosis?output=asap&image=My+slide", content=(BODY % (0, 0, 0, 0)).encode()
    )
    assert len(polygons(everything.content)) == len(DOTS)


def test_qupath_counts_from_where_the_bounds_begin(client: LocalClient, tmp_path: Path) -> None:
    """OpenSlide's origin is 600, 400 px before; level 0 is at 0.23 um/px."""
    scanned = np.asarray(Image.open(io.BytesIO(field())))
    slide = write_leica(tmp_path / "b.scn", scanned, size=(2600, 1900), at=(600, 400), mpp=0.23)
    bring(client, slide.read_bytes(), "b.scn")
    address = "/v1/monailabel/infer/wsi/mitosis?output=asap&image=b"
    everything = client.post(address, content=(BODY % (0, 0, 0, 0)).encode())
    assert centres(everything.content) == [pytest.approx(dot, abs=1.5) for dot in DOTS]
    selected = client.post(address, content=(BODY % (500, 300, 400, 400)).encode())
    assert centres(selected.content) == [pytest.approx(DOTS[1], abs=1.5)]


def test_a_crop_is_scored_in_its_own_pixels_and_not_kept(client: LocalClient) -> None:
    def part(disposition: str, more: str, content: bytes) -> bytes:
        return (
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n".encode() + content + b"\r\n"
        )

    body = part('name="file"; filename="patch123.png"', "Content-Type: image/png\r\n", field())
    body += part('name="wsi"', "", (BODY % (0, 0, 0, 0)).encode()) + f"--{BOUNDARY}--".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    model = "mitosis-crop-0.25um"
    answer = client.post(f"/v1/monailabel/infer/wsi_v2/{model}?output=asap", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert centres(answer.content) == [pytest.approx(dot, abs=1) for dot in DOTS]
    assert client.get("/v1/slides").json()["slides"] == []
    unknown = client.post("/v1/monailabel/infer/wsi_v2/mitosis?output=asap", content=body, headers=headers)
    assert (unknown.status_code, kind(unknown)) == (422, "missing-mpp")


def test_calls_that_say_something_else(client: LocalClient) -> None:
    bring(client, field(), "a.png")
    address = "/v1/monailabel/infer/wsi/mitosis?output=asap&image=a"
    for body in (b"[]", b"{", json.dumps({"location": [1]}).encode(), b'{"size":["a","b"]}'):
        answer = client.post(address, content=body)
        assert (answer.status_code, kind(answer)) == (400, "malformed-request")
    assert client.post(address.replace("mitosis", "nuclei"), content=b"{}").status_code == 404
    assert client.post(address.replace("image=a", "image=b"), content=b"{}").status_code == 404
