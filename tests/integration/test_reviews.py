"""Reviews over HTTP: recorded, counted, taken back, kept, and read back by training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.datasets.import_report import ImportReport
from serving.datasets.readers.qupath import read_qupath
from serving.datasets.readers.source import Source
from tests.clients import LocalClient
from tests.services import DOTS, bring, field, kind, serving, submit, wait_for_end

pytestmark = pytest.mark.integration

BOX = {"x": 100.0, "y": 600.0, "width": 50.0, "height": 50.0}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state") as client:
        yield client


@pytest.fixture
def reviews(client: LocalClient) -> str:
    analysis = wait_for_end(client, submit(client, bring(client, field()))["id"])
    return f"/v1/analyses/{analysis['id']}/reviews"


def say(client: LocalClient, reviews: str, action: str, target: str = "", **more: Any) -> dict[str, Any]:
    answer = client.post(reviews, json={"action": action, "target": target, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_verdicts_stand_beside_a_result_that_stays(client: LocalClient, reviews: str) -> None:
    report = client.get(reviews.replace("reviews", "report")).content
    first = say(client, reviews, "reject", "detection-0", reviewer="A", reason="apoptotic")
    say(client, reviews, "add", box=BOX, reviewer="A")
    say(client, reviews, "accept", "detection-0", reviewer="B")
    assert (first["author"], first["reason"], first["at"][-1]) == ("local", "apoptotic", "Z")
    found = client.get(reviews).json()
    assert found["you"] == "local"
    assert found["model_mitotic_figures"] == len(DOTS)
    a, b = found["reviewers"]
    assert (a["reviewer"], a["accepted"], a["rejected"], a["added"], a["mitotic_figures"]) == ("A", 0, 1, 1, 1)
    assert (b["reviewer"], b["accepted"], b["mitotic_figures"], b["unjudged"]) == ("B", 1, 1, len(DOTS) - 1)
    assert found["agreement"][0]["judged_by_both"] == 1
    assert client.get(reviews.replace("reviews", "report")).content == report


def test_undo_stays_on_record(client: LocalClient, reviews: str) -> None:
    entry = say(client, reviews, "reject", "detection-1")
    say(client, reviews, "undo", str(entry["number"]))
    found = client.get(reviews).json()
    assert [e["action"] for e in found["entries"]] == ["reject", "undo"]
    assert found["reviewers"] == []
    again = client.post(reviews, json={"action": "undo", "target": str(entry["number"])})
    assert (again.status_code, kind(again)) == (400, "malformed-request")


def test_what_cannot_be_said_is_refused(client: LocalClient, reviews: str) -> None:
    own = say(client, reviews, "reject", "detection-0", reviewer="A")
    cases: list[dict[str, Any]] = [
        {"action": "accept", "target": f"detection-{len(DOTS)}"},
        {"action": "accept", "target": "detection--1"},
        {"action": "accept", "target": "added-1"},
        {"action": "accept", "target": ""},
        {"action": "accept", "target": "detection-0", "box": BOX},
        {"action": "add"},
        {"action": "add", "box": {**BOX, "width": 0}},
        {"action": "relabel", "target": "detection-0"},
        {"action": "relabel", "target": "detection-0", "label": "grade 3"},
        {"action": "undo", "target": str(own["number"]), "reviewer": "B"},
        {"action": "undo", "target": "x"},
        {"action": "delete", "target": "detection-0"},
    ]
    for case in cases:
        answer = client.post(reviews, json=case)
        assert (case, answer.status_code, kind(answer)) == (case, 400, "malformed-request")
    assert len(client.get(reviews).json()["entries"]) == 1
    assert client.get("/v1/analyses/none/reviews").status_code == 404


def test_reviews_go_with_their_analysis(client: LocalClient, reviews: str) -> None:
    say(client, reviews, "reject", "detection-0")
    assert client.delete(reviews.removesuffix("/reviews")).status_code == 204
    assert client.get(reviews).status_code == 404


def test_training_reads_the_corrections(client: LocalClient, reviews: str, tmp_path: Path) -> None:
    say(client, reviews, "reject", "detection-0", reviewer="A")
    say(client, reviews, "accept", "detection-1", reviewer="A")
    say(client, reviews, "add", box=BOX, reviewer="A")
    say(client, reviews, "relabel", "detection-1", label="Pyknotic nucleus", reviewer="B")  # one against one: undecided
    answer = client.get(reviews.replace("reviews", "corrections"))
    assert answer.headers["content-type"] == "application/geo+json"
    (tmp_path / "a.geojson").write_bytes(answer.content)
    (tmp_path / "a.png").write_bytes(field())
    report = ImportReport()
    data = read_qupath(Source(tmp_path / "a.geojson", tmp_path, name="reviewed", licence="", mpp=0.25), report)
    (picture,) = data.pictures
    assert sorted(a.label for a in picture.annotations) == ["look-alike", "mitotic figure"]
    added = next(a for a in picture.annotations if a.label == "mitotic figure")
    assert added.box == pytest.approx((100, 600, 150, 650))
    assert picture.unlabelled_areas  # only what was looked at is labelled
    both = client.get(f"{reviews.replace('reviews', 'corrections')}?reviewer=A").json()["features"]
    assert len(both) == 6


def test_a_review_reaches_every_number_that_is_reported(client: LocalClient, reviews: str) -> None:
    analysis = reviews.removesuffix("/reviews")
    say(client, reviews, "reject", "detection-0", reviewer="A")
    say(client, reviews, "add", box=BOX, reviewer="A")
    query = "?hotspot_area=0.1&review=own&reviewer=A&field=125,625"
    counts = client.get(f"{analysis}/counts{query}").json()
    report = client.get(f"{analysis}/report{query}")
    for part in ("hotspots", "fields", "review"):
        assert counts[part] == report.json()[part], part
    assert counts["counts"]["mitotic_figures"] == len(DOTS)
    assert counts["review"]["counts"]["mitotic_figures"] == len(DOTS)
    assert (counts["review"]["rejected"], counts["review"]["added"]) == (1, 1)
    (field_,) = counts["fields"]
    assert field_["reviewed"]["mitotic_figures"] == field_["mitotic_figures"] + 1 - field_["reviewed"]["judged"]
    assert "immutable" not in report.headers["cache-control"]
    (own,) = client.get(reviews).json()["reviewers"]
    assert own["after_review"] == counts["review"]["counts"]["mitotic_figures"]
    assert "After review" in client.get(f"{analysis}/report.appendix.html{query}").text
    assert client.get(f"{analysis}/counts?review=own&reviewer=B").json()["review"]["unjudged"] == len(DOTS)
    assert client.get(f"{analysis}/counts").json()["review"] is None


def test_exports_hold_the_figures_that_are_counted(client: LocalClient, reviews: str) -> None:
    analysis = reviews.removesuffix("/reviews")
    plain = client.get(f"{analysis}/report.coco.json?review=off").json()
    for i in range(len(DOTS)):
        say(client, reviews, "reject", f"detection-{i}", reviewer="A")
    say(client, reviews, "add", box=BOX, reviewer="A")
    query = "?review=own&reviewer=A&threshold=0.5"
    counted = client.get(f"{analysis}/counts{query}").json()["review"]["counts"]["mitotic_figures"]
    found = client.get(f"{analysis}/report.coco.json{query}").json()
    assert [a["bbox"] for a in found["annotations"]] == [[BOX["x"], BOX["y"], BOX["width"], BOX["height"]]]
    assert len(found["annotations"]) == counted
    assert (found["info"]["reviewers"], found["info"]["threshold"]) == ("A", "0.5")
    assert (len(plain["annotations"]), "reviewers" in plain["info"]) == (len(DOTS), False)
    assert client.get(f"{analysis}/report.coco.json?review=off").json() == plain
    offered = client.get("/openapi.json").json()["paths"]["/v1/analyses/{analysis_id}/report"]["get"]
    for media_type in offered["responses"]["200"]["content"]:
        answer = client.get(f"{analysis}/report{query}", headers={"Accept": media_type})
        assert answer.status_code == (422 if "dicom" in media_type else 200), media_type


def test_most_reviewers_decide(client: LocalClient, reviews: str) -> None:
    for name, action in (("A", "reject"), ("B", "reject"), ("C", "accept")):
        say(client, reviews, action, "detection-0", reviewer=name)
    say(client, reviews, "reject", "detection-1", reviewer="A")
    say(client, reviews, "accept", "detection-1", reviewer="B")
    review = client.get(reviews.replace("reviews", "counts?review=all")).json()["review"]
    assert (review["rule"], review["reviewers"]) == ("majority", ["A", "B", "C"])
    assert (review["rejected"], review["accepted"], review["unjudged"]) == (1, 0, len(DOTS) - 1)


def test_a_figure_is_added_once_and_where_there_is_a_slide(client: LocalClient, reviews: str) -> None:
    first = say(client, reviews, "add", box=BOX, reviewer="A")
    near = {**BOX, "x": BOX["x"] + 20}
    x, y = DOTS[0]
    on_another = {**BOX, "x": x - 30.0, "y": y - 30.0}
    outside = [{**BOX, "x": -500.0}, {**BOX, "y": 1e6}, {**BOX, "x": 1e300, "width": 1e300}]
    for box in (BOX, near, on_another, *outside):
        answer = client.post(reviews, json={"action": "add", "box": box, "reviewer": "B"})
        assert (box, answer.status_code, kind(answer)) == (box, 400, "malformed-request")
    say(client, reviews, "undo", str(first["number"]), reviewer="A")
    say(client, reviews, "add", box=near, reviewer="B")  # what was taken back is not there


@pytest.mark.parametrize(
    "query", ["threshold=0.01", "threshold=2", "field=1", "field=1e999,1", "cut_offs=9,3", "cut_offs=x", "review=some"]
)
def test_counts_refuse_what_cannot_be_counted(client: LocalClient, reviews: str, query: str) -> None:
    answer = client.get(reviews.replace("reviews", f"counts?{query}"))
    assert (answer.status_code, kind(answer)) == (400, "malformed-request")
