"""Studies over HTTP: orders, blind readers, time, and tables with agreement."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from serving.access.access import open_access
from serving.cli import main
from serving.settings import ServerSettings
from tests.clients import LocalClient
from tests.integration.test_projects import Lab, make_project
from tests.services import DOTS, bring, field, kind, serving, submit, wait_for_end

pytestmark = pytest.mark.integration

BOX = {"x": 100.0, "y": 600.0, "width": 50.0, "height": 50.0}
A, B = ({"author": "local", "reviewer": name} for name in "AB")


def score(client: LocalClient, number: int) -> list[str]:
    made = [submit(client, bring(client, field(seed=seed), f"{seed}.png"))["id"] for seed in range(number)]
    return [wait_for_end(client, analysis)["id"] for analysis in made]


def say(client: LocalClient, reading: tuple[str, str, str], action: str, target: str = "", **more: Any) -> Any:
    """`reading` : analysis, study, and the reader's name"""
    analysis, study, reviewer = reading
    body = {"action": action, "target": target, "study": study, "reviewer": reviewer, **more}
    return client.post(f"/v1/analyses/{analysis}/reviews", json=body)


def finish(client: LocalClient, study: str, analysis: str, reviewer: str, **more: Any) -> Any:
    body = {"reviewer": reviewer, "finished": True, **more}
    answer = client.put(f"/v1/studies/{study}/reading/{analysis}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def read_table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_readers_are_blind_and_their_readings_become_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    with serving(state) as client:
        ids = score(client, 2)
        made = client.post("/v1/studies", json={"name": "=Breast", "analyses": ids, "readers": [A, B], "seed": 3})
        assert made.status_code == 201
        study = made.json()["id"]
        assert made.headers["location"] == f"/v1/studies/{study}"
        order = client.get(f"/v1/studies/{study}/reading?reviewer=A").json()
        assert sorted(slide["analysis"] for slide in order["slides"]) == sorted(ids)
        assert order["next"] == order["slides"][0]["analysis"]
        assert client.get(f"/v1/studies/{study}/reading?reviewer=A").json() == order

        first, second = ids
        assert say(client, (first, study, "A"), "accept", "detection-0").status_code == 201
        assert say(client, (first, study, "A"), "reject", "detection-1").status_code == 201
        added = say(client, (first, study, "A"), "add", box=BOX).json()
        reviews = f"/v1/analyses/{first}/reviews"
        # B sees nothing of it, and neither does anybody outside the study.
        assert client.get(f"{reviews}?study={study}&reviewer=B").json()["entries"] == []
        assert client.get(reviews).json()["entries"] == []
        own = client.get(f"{reviews}?study={study}&reviewer=A").json()
        assert [entry["action"] for entry in own["entries"]] == ["accept", "reject", "add"]
        assert [(r["reviewer"], r["mitotic_figures"]) for r in own["reviewers"]] == [("A", 2)]
        counts = f"/v1/analyses/{first}/counts?review=own&reviewer"
        assert client.get(f"{counts}=A&study={study}").json()["review"]["counts"]["mitotic_figures"] == 2
        assert client.get(f"{counts}=B&study={study}").json()["review"]["counts"]["mitotic_figures"] == len(DOTS)
        assert client.get(f"{counts}=A").json()["review"]["counts"]["mitotic_figures"] == len(DOTS)
        assert client.get("/v1/worklist?reviewed=true").json()["total"] == 0
        # Judging what another reader added, or adding it once more, is each reader's own affair.
        assert kind(say(client, (first, study, "B"), "accept", f"added-{added['number']}")) == "malformed-request"
        assert kind(say(client, (first, study, "B"), "undo", str(added["number"]))) == "malformed-request"
        assert say(client, (first, study, "B"), "add", box={**BOX, "x": 110.0}).status_code == 201
        for target in ("detection-0", "detection-1"):
            assert say(client, (first, study, "B"), "accept", target).status_code == 201
        for reviewer in "AB":
            for target in ("detection-0", "detection-1"):
                assert say(client, (second, study, reviewer), "accept", target).status_code == 201

        for table in ("results", "results/readings.csv", "results/slides.csv", "results/agreement.csv"):
            assert kind(client.get(f"/v1/studies/{study}/{table}")) == "study-unfinished"
        for reviewer, seconds in (("A", 61.25), ("B", 30.0)):
            finish(client, study, first, reviewer, visit="v1", active_s=seconds)
            assert kind(say(client, (first, study, reviewer), "accept", "detection-1")) == "malformed-request"
        assert kind(client.get(f"/v1/studies/{study}/results")) == "study-unfinished"
        assert finish(client, study, second, "A")["next"] is None
        finish(client, study, second, "B")

        results = client.get(f"/v1/studies/{study}/results").json()
        assert results["judged_by_all"] == 5  # two figures on each slide, and the one that both added
        [pair] = results["agreement"]
        assert (pair["first"], pair["second"], pair["judged_by_both"], pair["agreed"]) == ("A", "B", 5, 4)
        assert results["counts"]["slides"] == 2
        by_slide = {slide["analysis"]: slide["readings"] for slide in results["slides"]}
        assert [reading["mitotic_figures"] for reading in by_slide[first]] == [2, 3]

        rows = read_table(client.get(f"/v1/studies/{study}/results/readings.csv").content)
        assert len(rows) == 10  # two readers, five objects
        assert {row["study"] for row in rows} == {"'=Breast"}  # no formula
        said = {(row["reader"], row["analysis"], row["object"]): row["mitotic_figure"] for row in rows}
        assert said["A", first, "detection-1"] == "no"
        assert said["B", first, "detection-1"] == "yes"
        assert [said[reader, first, f"added-{added['number']}"] for reader in "AB"] == ["yes", "yes"]
        slides = read_table(client.get(f"/v1/studies/{study}/results/slides.csv").content)
        found = {(row["reader"], row["analysis"]): row for row in slides}
        assert (found["A", first]["active_s"], found["B", first]["active_s"]) == ("61.2", "30.0")
        assert found["A", first]["finished_at"].endswith("Z")
        agreement = read_table(client.get(f"/v1/studies/{study}/results/agreement.csv").content)
        share = {row["measure"]: row["value"] for row in agreement}
        assert float(share["percent agreement"]) == 80
        assert share.keys() == {"percent agreement", "Cohen's kappa", "Fleiss' kappa", "ICC(2,1) of counts"}
        tables = {
            name: client.get(f"/v1/studies/{study}/results/{name}.csv").content
            for name in ("readings", "slides", "agreement")
        }

    monkeypatch.setenv("MITOSIS_STATE", str(state))
    listed = CliRunner().invoke(main, ["studies", "list"])
    assert study in listed.output
    assert "2 of 2" in listed.output
    done = CliRunner().invoke(main, ["studies", "export", study, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert {name: (tmp_path / "out" / f"{name}.csv").read_bytes() for name in tables} == tables
    assert CliRunner().invoke(main, ["studies", "export", "none", "--out", str(tmp_path / "out")]).exit_code == 1


def test_what_is_drawn_on_a_slide_does_not_change_a_reading(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as client:
        [analysis] = score(client, 1)
        study = client.post("/v1/studies", json={"name": "a", "analyses": [analysis], "readers": [A]}).json()["id"]
        nowhere = {"type": "Polygon", "coordinates": [[[0, 0], [90, 0], [90, 90], [0, 0]]]}
        client.put(f"/v1/analyses/{analysis}/regions", json={"within": nowhere}).raise_for_status()
        counts = f"/v1/analyses/{analysis}/counts?review=own&reviewer=A"
        assert client.get(counts).json()["counts"]["mitotic_figures"] == 0
        assert client.get(f"{counts}&study={study}").json()["counts"]["mitotic_figures"] == len(DOTS)


def test_people_of_a_project_read_with_their_own_keys(tmp_path: Path) -> None:
    access = open_access(ServerSettings(state=tmp_path / "state"))
    with serving(tmp_path / "state") as client:
        lab = Lab(client, access)
        chief, first, second, guest, stranger = (lab.person(name) for name in ("chief", "1", "2", "guest", "stranger"))
        project = make_project(chief, reader=guest, reviewer=first)
        chief.send("PUT", f"/v1/projects/{project}/members/{second.id}", json={"role": "reviewer"})
        analysis = chief.score(project)[1]
        wanted = {"name": "GIST", "analyses": [analysis], "readers": [{"author": first.id}, {"author": second.id}]}
        assert first.send("POST", "/v1/studies", project, json=wanted).status_code == 403
        for unable in (guest, stranger):
            refused = chief.send("POST", "/v1/studies", project, json={**wanted, "readers": [{"author": unable.id}]})
            assert kind(refused) == "malformed-request"
            assert "reviewers first" in refused.json()["detail"]
        study = chief.send("POST", "/v1/studies", project, json=wanted).json()["id"]
        address = f"/v1/studies/{study}"
        assert [s["id"] for s in first.get("/v1/studies", project)["studies"]] == [study]
        assert first.get("/v1/studies")["studies"] == []
        assert kind(stranger.send("GET", address)) == "not-found"
        assert kind(chief.send("GET", f"{address}/reading", project)) == "not-found"  # no reader

        body = {"action": "reject", "target": "detection-0", "study": study}
        assert first.send("POST", f"/v1/analyses/{analysis}/reviews", project, json=body).status_code == 201
        assert kind(chief.send("POST", f"/v1/analyses/{analysis}/reviews", project, json=body)) == "not-found"
        assert second.get(f"/v1/analyses/{analysis}/reviews?study={study}", project)["entries"] == []
        assert kind(second.send("GET", f"{address}/results", project)) == "study-unfinished"
        assert chief.send("GET", f"{address}/results", project).status_code == 200  # reads nothing, so sees all
        end = {"finished": True}
        assert guest.send("PUT", f"{address}/reading/{analysis}", project, json=end).status_code == 403
        assert first.send("PUT", f"{address}/reading/{analysis}", project, json=end).json()["next"] is None
        assert first.send("GET", f"{address}/results", project).status_code == 200
        assert first.send("DELETE", address, project).status_code == 403
        assert chief.send("DELETE", address, project).status_code == 204
        assert chief.send("GET", address, project).status_code == 404
        assert chief.get(f"/v1/analyses/{analysis}", project)["state"] == "succeeded"


@pytest.mark.parametrize(
    "wrong",
    [
        {"analyses": []},
        {"readers": []},
        {"readers": [{"author": "local"}, {"author": "local"}]},
        {"readers": [{"author": "key:1"}]},
        {"name": " "},
        {"name": "a\nb"},
        {"seed": -1},
        {"analyses": ["x" * 41]},
        {"more": 1},
    ],
)
def test_a_study_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with serving(tmp_path / "state") as client:
        body = {"name": "a", "analyses": ["x"], "readers": [{"author": "local"}]} | wrong
        answer = client.post("/v1/studies", json=body)
        assert kind(answer) == "malformed-request" if answer.status_code == 400 else answer.status_code == 404
        assert client.get("/v1/studies").json()["studies"] == []
