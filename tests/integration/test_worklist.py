"""The worklist of a server: its rows, how they are found, and the cases that slides belong to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from serving.access.access import open_access
from serving.jobs.result_summary import fill_summaries
from serving.settings import ServerSettings
from serving.store.checksums import name_with_sum
from serving.store.database import open_database
from serving.store.places import RESULTS
from serving.store.shared_folder_store import open_folder_store
from serving.store.tables import analyses
from tests.clients import LocalClient, bearer
from tests.services import DOTS, Blocking, bring, field, kind, serving, submit, until, wait_for_end

pytestmark = pytest.mark.integration


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state") as client:
        yield client


def rows(client: LocalClient, query: str = "", headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/worklist?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["total"] >= len(page["rows"])
    return list(page["rows"])


def names(client: LocalClient, query: str = "") -> list[str]:
    return [row["name"] for row in rows(client, query)]


def bring_many(client: LocalClient, *called: str) -> list[str]:
    return [bring(client, field(seed=number), name) for number, name in enumerate(called)]


def test_a_row_has_all_that_came_of_a_slide(client: LocalClient) -> None:
    slide = bring(client, field(), "CASE-7_a.png")
    (row,) = rows(client)
    assert (row["case"], row["latest"], row["scored"], row["analyses"]) == ("CASE-7", None, None, 0)

    made = wait_for_end(client, submit(client, slide)["id"])
    (row,) = rows(client)
    report = client.get(f"/v1/analyses/{made['id']}/report").json()
    summary = row["scored"]["summary"]
    assert summary["mitotic_figures"] == report["counts"]["mitotic_figures"] == len(DOTS)
    assert summary["per_mm2"] == pytest.approx(report["counts"]["per_mm2"])
    assert summary["warnings"] == report["warnings"]
    assert summary["models"] == [f"{m['name']}@{m['version']}" for m in report["models"]]
    assert row["latest"]["id"] == row["scored"]["id"] == made["id"]
    assert row["scored"]["options"] == {"mpp": 0.25}
    assert (row["reviewed"], row["readers"]) == (None, 0)


def test_the_reviewed_count_is_ones_own_and_that_of_the_counts(client: LocalClient) -> None:
    made = wait_for_end(client, submit(client, bring(client, field()))["id"])
    say = f"/v1/analyses/{made['id']}/reviews"
    for entry in (
        {"action": "reject", "target": "detection-0", "reviewer": "Dr. A"},
        {"action": "add", "box": {"x": 100, "y": 600, "width": 50, "height": 50}, "reviewer": "Dr. A"},
        {"action": "accept", "target": "detection-0", "reviewer": "Dr. B"},
    ):
        assert client.post(say, json=entry).status_code == 201
    for reviewer, judged in (("Dr. A", 1), ("Dr. B", 1)):
        (row,) = rows(client, f"reviewer={reviewer}")
        counted = client.get(f"/v1/analyses/{made['id']}/counts?review=own&reviewer={reviewer}").json()
        assert row["reviewed"] == {"mitotic_figures": counted["review"]["counts"]["mitotic_figures"], "judged": judged}
        assert row["readers"] == 2
    assert names(client, "reviewed=true&reviewer=Dr. A") == ["a.png"]
    assert names(client, "reviewed=true&reviewer=Dr. C") == []
    assert names(client, "reviewed=false&reviewer=Dr. C") == ["a.png"]
    assert names(client, "reviewed=false") == []


def test_rows_are_searched_sorted_and_paged(client: LocalClient) -> None:
    bring_many(client, "CASE-1_a.png", "CASE-2_50%.png", "Other.png")
    assert names(client, "search=case") == ["CASE-2_50%.png", "CASE-1_a.png"]  # the newest first
    assert names(client, "search=_a 1") == ["CASE-1_a.png"]  # every word, in any order
    assert names(client, "search=50%25") == ["CASE-2_50%.png"]
    assert names(client, "search=%25a") == []  # no wildcard
    assert names(client, "sort=name&order=ascending") == ["CASE-1_a.png", "CASE-2_50%.png", "Other.png"]
    assert names(client, "sort=case&order=descending") == ["CASE-2_50%.png", "CASE-1_a.png", "Other.png"]
    assert names(client, "sort=case&order=ascending")[-1] == "Other.png"  # without a case: last in either order
    assert names(client, "case=CASE-1") == ["CASE-1_a.png"]
    assert names(client, "case=") == ["Other.png"]
    page = client.get("/v1/worklist?sort=name&order=ascending&limit=1&offset=1").json()
    assert (page["total"], page["offset"], [r["name"] for r in page["rows"]]) == (3, 1, ["CASE-2_50%.png"])
    assert kind(client.get("/v1/worklist?sort=colour")) == "malformed-request"
    assert kind(client.get("/v1/worklist?offset=-1")) == "malformed-request"


def test_rows_are_filtered_by_state_and_warnings_and_sorted_by_counts(tmp_path: Path) -> None:
    detector = Blocking()
    with serving(tmp_path / "state", lambda: detector) as client:
        few = bring(client, field(dots=DOTS[:1]), "few.png")
        many = bring(client, field(seed=1), "many.png")
        bring(client, field(seed=2), "new.png")
        submit(client, many)
        until(detector.entered.is_set)
        assert names(client, "state=running") == ["many.png"]
        assert names(client, "state=none") == ["new.png", "few.png"]
        assert names(client, "state=none&state=running&sort=name&order=ascending") == ["few.png", "many.png", "new.png"]
        detector.released.set()
        for made in (submit(client, many), submit(client, few)):
            assert wait_for_end(client, made["id"])["state"] == "succeeded"
        assert names(client, "sort=figures") == ["many.png", "few.png", "new.png"]
        assert names(client, "sort=figures&order=ascending") == ["few.png", "many.png", "new.png"]
        assert names(client, "sort=density&order=ascending") == ["few.png", "many.png", "new.png"]
        warned = {r["name"] for r in rows(client) if r["scored"] and r["scored"]["summary"]["warnings"]}
        assert set(names(client, "warnings=true")) == warned
        assert set(names(client, "warnings=false")) == {"few.png", "many.png"} - warned


def test_a_slide_that_is_scored_again_keeps_its_result_meanwhile(tmp_path: Path) -> None:
    detector = Blocking()
    with serving(tmp_path / "state", lambda: detector) as client:
        slide = bring(client, field())
        detector.released.set()
        first = wait_for_end(client, submit(client, slide)["id"])
        detector.released.clear()
        second = submit(client, slide, options={"mpp": 0.26})
        (row,) = rows(client)
        assert (row["latest"]["id"], row["scored"]["id"], row["analyses"]) == (second["id"], first["id"], 2)
        detector.released.set()
        wait_for_end(client, second["id"])
        assert rows(client)[0]["scored"]["id"] == second["id"]


def test_a_case_is_assigned_and_outlives_the_slide(client: LocalClient) -> None:
    slide = bring(client, field(), "CASE-1_a.png")
    made = wait_for_end(client, submit(client, slide)["id"])
    address = f"/v1/slides/{slide}"
    assert client.patch(address, json={"case": " Kidney 4 "}).json()["case"] == "Kidney 4"
    assert client.get("/v1/cases").json()["cases"] == [{"name": "Kidney 4", "slides": 1}]
    assert client.get("/v1/cases?search=KID").json()["cases"] != []
    assert client.get("/v1/cases?search=lung").json()["cases"] == []
    bring(client, field(), "CASE-1_a.png")  # once more: it stays where it was put
    assert client.get(address).json()["case"] == "Kidney 4"

    assert client.delete(address).status_code == 204
    (row,) = rows(client, "case=Kidney 4")
    assert (row["deleted"], row["width"], row["scored"]["id"]) == (True, None, made["id"])
    assert kind(client.patch(address, json={"case": "x"})) == "not-found"

    bring(client, field(), "CASE-1_a.png")
    assert client.patch(address, json={"case": ""}).json()["case"] is None
    assert client.patch(address, json={"case": None}).json()["case"] == "CASE-1"
    assert kind(client.patch(address, json={"case": "a\nb"})) == "malformed-request"
    assert kind(client.patch(address, json={})) == "malformed-request"


def test_what_belongs_to_others_is_in_no_list(tmp_path: Path) -> None:
    access = open_access(ServerSettings(state=tmp_path / "state"))
    with serving(tmp_path / "state") as client:
        ann, bob = (bearer(access.keys.create(name, ["score"])[0]) for name in ("ann", "bob"))
        root = bearer(access.keys.create("root", ["admin"])[0])
        post = client.post("/v1/slides", files={"slide": ("CASE-1.png", field())}, headers=ann)
        slide = post.json()["id"]
        assert len(rows(client, headers=ann)) == len(rows(client, headers=root)) == 1
        assert rows(client, headers=bob) == client.get("/v1/cases", headers=bob).json()["cases"] == []
        assert kind(client.patch(f"/v1/slides/{slide}", json={"case": "x"}, headers=bob)) == "not-found"
        assert client.patch(f"/v1/slides/{slide}", json={"case": "x"}, headers=root).json()["case"] == "x"
        client.post("/v1/slides", files={"slide": ("b.png", field())}, headers=bob)
        assert {(r["name"], r["case"]) for r in rows(client, headers=root)} == {("CASE-1.png", "x"), ("b.png", None)}
        assert kind(client.patch(f"/v1/slides/{slide}", json={"case": "y"}, headers=root)) == "slide-shared"


@pytest.mark.parametrize("word", ["ärzte", "ÄRZTE", "Ärzte"])
def test_words_are_found_whatever_the_case_of_their_letters(client: LocalClient, word: str) -> None:
    bring_many(client, "Ärzte_1.png", "b.png")
    assert names(client, f"search={word}") == ["Ärzte_1.png"]


def test_a_result_that_cannot_be_read_holds_up_no_other_summary(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving(state) as client:
        for seed in range(2):
            wait_for_end(client, submit(client, bring(client, field(seed=seed), f"{seed}.png"))["id"])
    settings = ServerSettings(state=state)
    database, store = open_database(settings), open_folder_store(settings)
    with database.reading() as tx:
        first = tx.execute(select(analyses.c.result).order_by(analyses.c.number).limit(1)).scalar_one()
    folder = store.root / RESULTS / first
    report = json.loads((folder / "report.json").read_text()) | {"schema_version": "9.0"}  # of a later release
    (folder / "report.json").write_text(json.dumps(report))
    name = name_with_sum("later", folder)
    folder.rename(folder.with_name(name))
    with database.writing() as tx:
        tx.execute(update(analyses).values(summary=None))
        tx.execute(update(analyses).where(analyses.c.result == first).values(result=name))
    assert fill_summaries(database, store) == 1
    database.close()


def test_results_of_earlier_releases_are_summarized_once(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving(state) as client:
        made = wait_for_end(client, submit(client, bring(client, field()))["id"])
    settings = ServerSettings(state=state)
    database = open_database(settings)
    kept = {"figures": None, "density": None, "warned": None, "summary": None}
    with database.reading() as tx:
        before = tx.execute(select(analyses.c.figures, analyses.c.density, analyses.c.warned, analyses.c.summary)).one()
    with database.writing() as tx:
        tx.execute(update(analyses).values(kept))
    assert fill_summaries(database, open_folder_store(settings)) == 1
    assert fill_summaries(database, open_folder_store(settings)) == 0
    with database.reading() as tx:
        after = tx.execute(select(analyses.c.figures, analyses.c.density, analyses.c.warned, analyses.c.summary)).one()
    database.close()
    assert (after.figures, after.warned) == (before.figures, before.warned)
    assert after.density == pytest.approx(before.density)
    assert json.loads(after.summary) == json.loads(before.summary)
    with serving(state) as client:
        assert rows(client)[0]["scored"]["id"] == made["id"]
