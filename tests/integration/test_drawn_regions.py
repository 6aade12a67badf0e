"""Regions over HTTP: drawn on a result and kept, by whom; they bound every count and export; stated when it is submitted, too."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from serving.core.outlines import parse_outlines
from serving.review.region_store import MAX_ENTRIES, RegionChange, RegionError, RegionStore
from serving.store.database import Database
from tests.clients import LocalClient
from tests.services import DOTS, bring, field, kind, serving, submit, wait_for_end

pytestmark = pytest.mark.integration
MPP = 0.25


def square(x: float, y: float, side: float = 200, name: str = "Tumor") -> dict[str, Any]:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}},
    }


FIRST = square(DOTS[0][0] - 100, DOTS[0][1] - 100)
SECOND = square(DOTS[1][0] - 100, DOTS[1][1] - 100, name="Necrosis")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state") as client:
        yield client


@pytest.fixture
def analysis(client: LocalClient) -> str:
    return f"/v1/analyses/{wait_for_end(client, submit(client, bring(client, field()))['id'])['id']}"


def draw(client: LocalClient, analysis: str, **body: Any) -> dict[str, Any]:
    answer = client.put(f"{analysis}/regions", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def count(client: LocalClient, analysis: str, query: str = "") -> int:
    answer = client.get(f"{analysis}/counts{query}")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["counts"]["mitotic_figures"])


def test_regions_bound_counts_and_exports_from_when_they_are_drawn(client: LocalClient, analysis: str) -> None:
    made = client.get(f"{analysis}/report")
    whole = client.get(f"{analysis}/report.detections.csv").text
    nothing = client.get(f"{analysis}/regions").json()
    assert (nothing["within"], nothing["exclude"], nothing["drawn"], nothing["entries"]) == (None, None, None, [])
    view = draw(client, analysis, within=FIRST, reviewer="A", reason="invasive front")
    assert view["within"]["unit"] == "level-0 px"
    assert (view["drawn"]["author"], view["drawn"]["reviewer"], view["drawn"]["reason"]) == (
        "local",
        "A",
        "invasive front",
    )
    report = client.get(f"{analysis}/report").json()
    assert report["counts"]["mitotic_figures"] == len(report["detections"]) == len(report["outside"]) == 1
    assert report["settings"]["counting"]["within"][0]["name"] == "Tumor"
    assert report["settings"]["counting"]["regions_sha256"] == view["sha256"]
    assert report["counts"]["bounded_by"] == ["tissue", "within"]
    assert report["analysis_id"] != made.json()["analysis_id"]
    assert len(client.get(f"{analysis}/report.detections.csv").text.splitlines()) == len(whole.splitlines()) - 1
    coco = client.get(f"{analysis}/report.coco.json").json()
    assert len(coco["annotations"]) == 1
    # What was scored stays, and says so.
    scored = client.get(f"{analysis}/report?regions=scored")
    assert scored.content == made.content
    assert "immutable" in scored.headers["cache-control"]
    assert "immutable" not in client.get(f"{analysis}/report").headers["cache-control"]
    assert (count(client, analysis), count(client, analysis, "?regions=off")) == (1, len(DOTS))
    draw(client, analysis, exclude=FIRST)
    assert count(client, analysis) == len(DOTS) - 1
    draw(client, analysis)
    assert count(client, analysis) == len(DOTS)
    view = client.get(f"{analysis}/regions").json()
    assert [bool(note["sha256"]) for note in view["entries"]] == [True, True, False]
    first = view["entries"][0]["number"]
    assert (
        client.get(f"{analysis}/regions?number={first}").json()["within"]["features"][0]["properties"][
            "classification"
        ]["name"]
        == "Tumor"
    )
    assert client.get(f"{analysis}/regions?number=999").status_code == 404
    assert client.delete(analysis).status_code == 204
    assert client.get(f"{analysis}/regions").status_code == 404


def test_reviews_count_where_figures_do_and_go_by_the_names_of_the_result(client: LocalClient, analysis: str) -> None:
    draw(client, analysis, within=FIRST)
    made = client.get(f"{analysis}/report?regions=scored").json()["detections"]
    for i in range(len(made)):
        answer = client.post(
            f"{analysis}/reviews", json={"action": "reject", "target": f"detection-{i}", "reviewer": "A"}
        )
        assert answer.status_code == 201
    box = {"x": DOTS[1][0] - 60.0, "y": DOTS[1][1] + 30.0, "width": 20.0, "height": 20.0}
    assert client.post(f"{analysis}/reviews", json={"action": "add", "box": box, "reviewer": "A"}).status_code == 201
    review = client.get(f"{analysis}/counts?review=all").json()["review"]
    assert (review["rejected"], review["added"], review["counts"]["mitotic_figures"]) == (1, 0, 0)
    review = client.get(f"{analysis}/counts?review=all&regions=off").json()["review"]
    assert (review["rejected"], review["added"], review["counts"]["mitotic_figures"]) == (2, 1, 1)


def test_regions_go_with_the_submission(client: LocalClient, analysis: str) -> None:
    slide = client.get(analysis).json()["slide"]
    again = submit(client, slide, options={"mpp": MPP, "within": SECOND})
    assert again["id"] != analysis.removeprefix("/v1/analyses/")
    scored = f"/v1/analyses/{wait_for_end(client, again['id'])['id']}"
    assert count(client, scored) == 1
    assert count(client, scored, "?regions=scored&hotspot_area=0.5") == 1
    assert count(client, scored, "?regions=off") == len(DOTS)
    view = client.get(f"{scored}/regions").json()
    assert (view["drawn"], view["within"]["features"][0]["properties"]["classification"]["name"]) == (None, "Necrosis")
    assert len(client.get(f"{scored}/report?regions=off").json()["detections"]) == len(DOTS)
    draw(client, scored)
    assert count(client, scored) == len(DOTS)
    query = f"mpp=0.25&exclude={json.dumps(FIRST['geometry']).replace(' ', '')}"
    answer = client.post(f"/v1/score?{query}", files={"slide": ("a.png", field())})
    assert answer.status_code == 200, answer.text
    assert answer.json()["counts"]["bounded_by"] == ["tissue", "exclude"]
    away = wait_for_end(client, submit(client, slide, options={"mpp": MPP, "within": square(9e5, 0)})["id"])
    assert (away["state"], away["problem"]) == ("failed", "urn:mitoserve:problem:roi-outside-slide")


def test_counts_in_regions_of_a_request_are_kept_nowhere(client: LocalClient, analysis: str) -> None:
    answer = client.post(f"{analysis}/counts", json={"within": FIRST, "hotspot_area": 0.1, "review": "off"})
    assert answer.json()["counts"]["mitotic_figures"] == 1
    assert client.post(f"{analysis}/counts", json={"within": None}).json()["counts"]["mitotic_figures"] == len(DOTS)
    assert client.get(f"{analysis}/regions").json()["entries"] == []
    draw(client, analysis, exclude=FIRST)
    assert client.post(f"{analysis}/counts", json={}).json()["counts"]["mitotic_figures"] == len(DOTS) - 1
    refused = client.post(f"{analysis}/counts", json={"within": square(9e5, 0)})
    assert (refused.status_code, kind(refused)) == (422, "roi-outside-slide")


def test_regions_come_back_to_qupath_and_from_files(client: LocalClient, analysis: str) -> None:
    draw(client, analysis, within=FIRST, exclude=SECOND)
    drawn = client.get(f"{analysis}/regions.geojson")
    assert drawn.headers["content-type"] == "application/geo+json"
    names = {
        f["properties"]["metadata"]["counts"]: f["properties"]["classification"]["name"]
        for f in drawn.json()["features"]
    }
    assert names == {"within": "Tumor", "exclude": "Necrosis"}
    answer = client.put(
        f"{analysis}/regions/within?reviewer=B", content=drawn.content, headers={"Content-Type": "application/geo+json"}
    )
    assert answer.status_code == 200, answer.text
    view = answer.json()
    assert len(view["within"]["features"]) == 2
    assert view["exclude"]["features"][0]["properties"]["classification"]["name"] == "Necrosis"
    mask = np.zeros((200, 250), np.uint8)
    mask[50:100, 50:100] = 255  # around the first dot, at 1 um a px
    png, tiff = io.BytesIO(), io.BytesIO()
    Image.fromarray(mask).save(png, "PNG")
    tifffile.imwrite(tiff, np.stack([mask] * 3, 2), tile=(64, 64), compression="deflate", photometric="rgb")
    draw(client, analysis)
    for content, media_type in ((png, "image/png"), (tiff, "image/tiff")):
        answer = client.put(
            f"{analysis}/regions/within?mask_mpp=1", content=content.getvalue(), headers={"Content-Type": media_type}
        )
        assert answer.status_code == 200, answer.text
        (outline,) = parse_outlines(answer.json()["within"]).outlines
        assert sorted(set(outline.polygons[0][0])) == [(200, 200), (200, 400), (400, 200), (400, 400)]
        assert count(client, analysis) == 1


def test_what_is_no_region_is_refused(client: LocalClient, analysis: str) -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]]}
    for body, status, slug, said in (
        ({"within": bow}, 400, "malformed-request", "crosses or touches itself near"),
        ({"within": {"type": "FeatureCollection", "features": []}}, 400, "malformed-request", "there is no region"),
        ({"within": [bow]}, 400, "malformed-request", "within"),
        ({"outside": bow}, 400, "malformed-request", "outside"),
        ({"exclude": square(9e5, 0)}, 422, "roi-outside-slide", "lies outside the slide of 1000 x 800 px"),
    ):
        answer = client.put(f"{analysis}/regions", json=body)
        assert (answer.status_code, kind(answer)) == (status, slug), answer.text
        assert said in answer.json()["detail"]
    for content, media_type, said in (
        (b"\xff", "application/geo+json", "no text"),
        (b"{}", "text/plain", "say which by Content-Type"),
        (b"no picture", "image/png", ""),
    ):
        answer = client.put(
            f"{analysis}/regions/exclude?mask_mpp=8", content=content, headers={"Content-Type": media_type}
        )
        assert answer.status_code in (400, 415, 422), answer.text
        assert said in answer.json()["detail"]
    assert client.put(f"{analysis}/regions/both", content=b"{}").status_code == 400
    slide = client.get(analysis).json()["slide"]
    refused = client.post("/v1/analyses", json={"slide": slide, "options": {"mpp": MPP, "within": bow}})
    assert (refused.status_code, kind(refused)) == (400, "malformed-request")
    assert client.get(f"{analysis}/regions").json()["entries"] == []
    assert client.put("/v1/analyses/none/regions", json={}).status_code == 404


def test_the_record_has_an_end(client: LocalClient, analysis: str, tmp_path: Path) -> None:
    store = RegionStore(Database(f"sqlite:///{tmp_path / 'state' / 'mitoserve.sqlite'}"))
    change = RegionChange("local", "", None, None)
    identity = analysis.removeprefix("/v1/analyses/")
    for _ in range(MAX_ENTRIES):
        store.record(identity, change)
    with pytest.raises(RegionError, match="drawn 1000 times"):
        store.record(identity, change)
    with pytest.raises(RegionError, match="removed"):
        store.record("none", change)


def test_what_two_draw_at_once_for_two_uses_is_kept_of_both(client: LocalClient, analysis: str) -> None:
    """A file replaces one use: of the other what somebody else drew a moment ago stays."""
    tops = {"within": 0.0, "exclude": 300.0}

    def put(use: str) -> None:
        for turn in range(12):
            answer = client.put(
                f"{analysis}/regions/{use}",
                content=json.dumps(square(10 * turn, tops[use])),
                headers={"Content-Type": "application/geo+json"},
            )
            assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(2) as both:
        list(both.map(put, tops))
    found = client.get(f"{analysis}/regions").json()
    assert len(found["entries"]) == 24
    for use, top in tops.items():
        corners = np.asarray(found[use]["features"][0]["geometry"]["coordinates"]).reshape(-1, 2)
        assert corners.min(0).tolist() == pytest.approx([110, top])
