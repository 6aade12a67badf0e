"""Tiles and IIIF pictures of stored slides over HTTP."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.api.deepzoom import DeepZoom
from serving.api.iiif import MAX_SIDE_PX
from tests.clients import LocalClient
from tests.fakes import DotDetector, plant, tissue
from tests.field_files import scale_pixels, tiff
from tests.samples import noise, write_pyramid
from tests.services import bring, kind, serving, submit, wait_for_end

pytestmark = pytest.mark.integration

WIDTH, HEIGHT = 1500, 1100


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return noise(WIDTH, HEIGHT)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state") as client:
        yield client


@pytest.fixture
def slide(client: LocalClient, tmp_path: Path, pixels: np.ndarray) -> str:
    return bring(client, write_pyramid(tmp_path / "a.tif", pixels).read_bytes(), "a.tif")


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_the_tiles_of_the_last_level_are_the_slide(client: LocalClient, slide: str, pixels: np.ndarray) -> None:
    assert client.get(f"/v1/slides/{slide}/deepzoom.dzi").content == DeepZoom(WIDTH, HEIGHT).descriptor()
    last = DeepZoom(WIDTH, HEIGHT).levels - 1
    for column, row in ((0, 0), (2, 2), (1, 0)):
        answer = client.get(f"/v1/slides/{slide}/deepzoom_files/{last}/{column}_{row}.jpeg")
        assert answer.headers["content-type"] == "image/jpeg"
        cut = pixels[row * 512 : row * 512 + 512, column * 512 : column * 512 + 512]
        found = picture(answer.content)
        assert found.shape == cut.shape
        assert np.abs(found.astype(int) - cut).mean() < 3
    one = picture(client.get(f"/v1/slides/{slide}/deepzoom_files/0/0_0.jpeg").content)
    np.testing.assert_allclose(one[0, 0], pixels.mean((0, 1)), atol=4)


def test_a_client_that_has_the_picture_is_not_sent_it_again(client: LocalClient, slide: str) -> None:
    address = f"/v1/slides/{slide}/deepzoom_files/9/0_0.jpeg"
    first = client.get(address)
    assert "immutable" in first.headers["cache-control"]
    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(address).content == first.content
    other = client.get(f"/v1/slides/{slide}/deepzoom_files/10/0_0.jpeg")
    assert other.headers["etag"] != first.headers["etag"]


def test_tiles_that_do_not_exist(client: LocalClient, slide: str) -> None:
    for address in ("99/0_0", "11/3_0", "11/0_3", "11/-1_0"):
        answer = client.get(f"/v1/slides/{slide}/deepzoom_files/{address}.jpeg")
        assert (answer.status_code, kind(answer)) == (404, "not-found")
    assert client.get(f"/v1/slides/{slide}/deepzoom_files/x/0_0.jpeg").status_code == 400
    assert client.get(f"/v1/slides/{'0' * 64}/deepzoom_files/0/0_0.jpeg").status_code == 404


def test_a_deleted_slide_gives_no_tiles_though_they_are_kept(client: LocalClient, slide: str) -> None:
    address = f"/v1/slides/{slide}/deepzoom_files/9/0_0.jpeg"
    assert client.get(address).status_code == 200
    assert client.delete(f"/v1/slides/{slide}").status_code == 204
    assert client.get(address).status_code == 404


def test_iiif_information_and_pictures(client: LocalClient, slide: str, pixels: np.ndarray) -> None:
    base = client.get(f"/v1/slides/{slide}/iiif")  # follows the redirect
    info = base.json()
    assert (info["type"], info["profile"]) == ("ImageService3", "level2")
    assert (info["width"], info["height"], info["maxWidth"]) == (WIDTH, HEIGHT, MAX_SIDE_PX)
    assert info["id"] == f"http://localhost/v1/slides/{slide}/iiif"
    assert info["service"][0]["physicalScale"] == pytest.approx(0.00025)
    assert info["tiles"][0]["scaleFactors"] == [1, 2, 4]
    assert "application/ld+json" in base.headers["content-type"]
    answer = client.get(f"{info['id']}/100,200,300,400/150,/0/default.png")
    assert answer.headers["content-type"] == "image/png"
    half = Image.fromarray(pixels[200:600, 100:400]).resize((150, 200), Image.Resampling.BICUBIC)
    assert np.abs(picture(answer.content).astype(int) - np.asarray(half)).mean() < 2
    turned = picture(client.get(f"{info['id']}/0,0,300,100/max/90/gray.png").content)
    assert turned.shape == (300, 100)
    refused = client.get(f"{info['id']}/0,0,300,100/^9999,/0/default.jpg")
    assert (refused.status_code, kind(refused)) == (400, "malformed-request")


@pytest.mark.parametrize(
    ("scale", "stated", "given"),
    [((0.5, 1.0), {}, "0.5,0.25"), ((1.0, 0.7), {}, f"0.25,{0.25 / 0.7}"),
     ((1.0, 1.0), {"resolution": (40_000, 20_000), "resolutionunit": "CENTIMETER"}, 0.25)],
    ids=["wide px", "high px", "px that are square in spite of the file"],
)  # fmt: skip
def test_pictures_in_a_reports_frame_show_its_figures_where_it_has_them(
    tmp_path: Path, scale: tuple[float, float], stated: dict[str, Any], given: object
) -> None:
    """Somebody states the sides of the pixels, and the report counts in others than the slide's own."""
    pixels = tissue(1200, 1000)
    for x, y in ((200, 300), (620, 500), (900, 820)):
        plant(pixels, x, y)
    path = tiff(stated=False, **stated)(tmp_path / "a.tif", scale_pixels(pixels, scale))
    with serving(tmp_path / "state", DotDetector) as client:
        slide = bring(client, path.read_bytes(), "a.tif")
        job = wait_for_end(client, submit(client, slide, options={"mpp": given})["id"])
        report = client.get(job["links"]["report"]).json()
        frame = report["slide"]["width"], report["slide"]["height"]
        own = client.get(f"/v1/slides/{slide}").json()
        assert frame != (own["width"], own["height"])
        assert len(report["detections"]) == 3
        asked, side = {"frame": "{},{}".format(*frame)}, round(20 / report["slide"]["mpp"])
        for found in report["detections"]:
            left = round(found["x"] + found["width"] / 2 - side / 2)
            top = round(found["y"] + found["height"] / 2 - side / 2)
            cut = f"/v1/slides/{slide}/iiif/{left},{top},{side},{side}/^80,80/0/default.png"
            shown = picture(client.get(cut, params=asked).content).mean(2)
            np.testing.assert_allclose(np.argwhere(shown < shown.min() + 30).mean(0), 40, atol=3)
        tile = f"/v1/slides/{slide}/deepzoom_files/{DeepZoom(*frame).levels - 1}/1_0.jpeg"
        assert picture(client.get(tile, params=asked).content).shape == (512, 512, 3)


def test_a_frame_that_no_report_of_the_slide_has_is_refused(client: LocalClient, slide: str) -> None:
    tile, image = f"/v1/slides/{slide}/deepzoom_files/9/0_0.jpeg", f"/v1/slides/{slide}/iiif/full/50,/0/default.jpg"
    for frame in ("0,0", "1500", "1500,1100,1", "-1500,1100", "999999999,1100", "1500,1", "a,b", ""):
        for address in (tile, image):
            answer = client.get(address, params={"frame": frame})
            assert (answer.status_code, kind(answer)) == (400, "malformed-request"), frame
    own = [client.get(tile, params=params) for params in ({}, {"frame": f"{WIDTH},{HEIGHT}"}, {"frame": "3000,1100"})]
    assert own[0].headers["etag"] == own[1].headers["etag"] != own[2].headers["etag"]
