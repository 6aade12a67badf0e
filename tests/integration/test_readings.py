"""Blind readings over HTTP: nothing of another's verdicts reaches a reader before the own reading is finished."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.access.access import open_access
from serving.settings import ServerSettings
from tests.clients import LocalClient, bearer
from tests.services import DOTS, bring, field, kind, serving, submit, until, wait_for_end

pytestmark = pytest.mark.integration

PLACES = ((150, 650), (500, 150), (850, 300), (250, 100), (900, 700))
"""Where there is no dot."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody with a key, who acts as a project."""

    client: LocalClient
    headers: Mapping[str, str]
    id: str
    name: str

    def get(self, address: str) -> Any:
        return self.client.get(address, headers=self.headers)

    def send(self, address: str, body: Any = None, *, method: str = "POST") -> Any:
        return self.client.request(method, address, headers=self.headers, json=body)

    def say(self, analysis: str, action: str, target: str = "", **more: Any) -> Any:
        said = {"action": action, "target": target, "reviewer": self.name, **more}
        return self.send(f"{analysis}/reviews", said)

    def finish(self, analysis: str) -> Any:
        mine = [r for r in self.get(f"{analysis}/readings").json()["readings"] if r["yours"]]
        return self.send(f"{analysis}/readings/{mine[-1]['number']}/finish")


@dataclass(frozen=True, slots=True)
class Case:
    """A project with three people and an analysis."""

    client: LocalClient
    analysis: str
    ann: Reader
    bob: Reader
    mia: Reader
    """The manager."""

    def give(self, reader: Reader) -> Any:
        return self.mia.send(f"{self.analysis}/readings", {"reader": reader.id, "reviewer": reader.name})


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    access = open_access(ServerSettings(state=tmp_path / "state"))
    with serving(tmp_path / "state") as client:
        yield make_case(client, access)


def make_case(client: LocalClient, access: Any, *, seed: int = 0) -> Case:
    tokens = {name: access.keys.create(name, ["score"])[0] for name in ("ann", "bob", "mia")}
    keys = {name: bearer(token) for name, token in tokens.items()}
    ids = {name: client.get("/v1/me", headers=shown).json()["id"] for name, shown in keys.items()}
    project = client.post("/v1/projects", json={"name": "breast"}, headers=keys["mia"]).json()["id"]
    for name in ("ann", "bob"):
        where = f"/v1/projects/{project}/members/{ids[name]}"
        client.put(where, json={"role": "reviewer"}, headers=keys["mia"])
    acting = {name: {**shown, "Mitoserve-Project": project} for name, shown in keys.items()}
    ann, bob, mia = (Reader(client, acting[n], ids[n], f"Dr {n.title()}") for n in ("ann", "bob", "mia"))
    slide = client.post("/v1/slides", files={"slide": ("K1.png", field(seed=seed))}, headers=mia.headers).json()["id"]
    wanted = {"slide": slide, "options": {"mpp": 0.25, "hotspot_area": 0.1}}
    job = client.post("/v1/analyses", json=wanted, headers=mia.headers).json()["id"]
    analysis = f"/v1/analyses/{job}"
    until(lambda: mia.get(analysis).json()["state"] == "succeeded")
    return Case(client, analysis, ann, bob, mia)


def box(place: tuple[int, int]) -> dict[str, float]:
    return {"x": place[0] - 25.0, "y": place[1] - 25.0, "width": 50.0, "height": 50.0}


def addresses(case: Case) -> list[str]:
    """Every address that the server's document names for an analysis, with every review that can be asked for, and the lists."""
    document = case.client.get("/openapi.json").json()["paths"]
    suffixes = (
        document["/v1/analyses/{analysis_id}/report.{suffix}"]["get"]["parameters"][1]["description"]
        .removeprefix("One of ")
        .removesuffix(".")
        .split(", ")
    )
    values = {"suffix": suffixes, "number": ["1"], "use": ["within"]}
    found = []
    for template, methods in document.items():
        if "{analysis_id}" not in template or "get" not in methods or template.endswith("/view"):
            continue
        if template.endswith("/changes"):  # a stream of minutes, which says that somebody said something and not what
            continue
        filled = template.replace("{analysis_id}", case.analysis.rsplit("/", 1)[1])
        names = [name for name in values if "{" + name + "}" in filled]
        places = [filled] if not names else [filled.replace("{" + names[0] + "}", value) for value in values[names[0]]]
        for place in places:
            takes_review = any(p["name"] == "review" for p in methods["get"].get("parameters", ()))
            reviews = ("off", "own", "all", "consensus") if takes_review else ()
            found += [f"{place}?review={review}" for review in reviews] or [place]
            found += [f"{place}?review=all&reviewer=Dr%20Ann", f"{place}?signature=1"] if takes_review else []
            found += [f"{place}?reviewer=Dr%20Ann"] if place.endswith("/corrections") else []
    return [*found, "/v1/worklist", "/v1/worklist?reviewed=true", "/v1/analyses", "/v1/cases"]


def see(case: Case, reader: Reader, places: list[str]) -> dict[str, tuple[int, bytes]]:
    """What a reader is answered at each place; reports of DICOM carry ids and times of their own making."""
    answers = {}
    for place in places:
        answer = reader.get(place)
        content = answer.content
        if answer.headers["content-type"] == "application/problem+json":
            content = json.dumps({k: v for k, v in answer.json().items() if k != "instance"}).encode()
        answers[place] = (answer.status_code, content)
    return answers


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("accept", "reject", "relabel", "add", "undo", "finish", "sign", "regret")),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=6,
)


def act(case: Case, reader: Reader, action: str, number: int) -> None:
    """One thing that a reader does, which the server may refuse."""
    if action == "add":
        reader.say(case.analysis, "add", box=box(PLACES[number]))
    elif action == "undo":
        own = [e for e in reader.get(f"{case.analysis}/reviews").json()["entries"] if e["author"] == reader.id]
        if own:
            reader.say(case.analysis, "undo", str(own[number % len(own)]["number"]))
    elif action == "finish":
        reader.finish(case.analysis)
    elif action == "sign":
        reader.send(f"{case.analysis}/signatures", {"review": "own", "name": reader.name})
    elif action == "regret":
        reader.say(case.analysis, "reject", f"detection-{number % len(DOTS)}", consensus=True)
    else:
        more = {"label": "Apoptotic body"} if action == "relabel" else {}
        reader.say(case.analysis, action, f"detection-{number % len(DOTS)}", **more)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalClient, Any, list[int]]]:
    state = tmp_path_factory.mktemp("blind") / "state"
    access = open_access(ServerSettings(state=state, requests_per_minute=100_000))
    with serving(state, requests_per_minute=100_000) as client:
        yield client, access, [0]


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=ACTIONS, after=ACTIONS, own=ACTIONS)
def test_nothing_that_one_reader_does_changes_what_a_blind_one_sees(
    shared: tuple[LocalClient, Any, list[int]], before: Any, after: Any, own: Any
) -> None:
    """At no address of the document, whatever the other reader says, adds, takes back, finishes or signs."""
    client, access, count = shared
    count[0] += 1
    case = make_case(client, access, seed=count[0])
    case.give(case.ann)
    for action, number in before:
        act(case, case.ann, action, number)
    assert case.give(case.bob).status_code == 201
    for action, number in own:
        if action != "finish":
            act(case, case.bob, action, number)
    places = [place for place in addresses(case) if not place.partition("?")[0].endswith("/readings")]
    first = see(case, case.bob, places)
    assert any(status == 200 for status, _ in first.values())
    for action, number in after:
        act(case, case.ann, action, number)
    again = see(case, case.bob, places)
    assert [place for place in places if strip(first[place]) != strip(again[place])] == []
    said = case.bob.get(f"{case.analysis}/reviews").json()
    assert {entry["author"] for entry in said["entries"]} <= {case.bob.id}
    for place, (_, content) in again.items():
        if "/reviews" not in place:  # where it is said whose the readings are
            assert b"Dr Ann" not in content, place


def strip(answer: tuple[int, bytes]) -> tuple[int, bytes]:
    """An answer without when the other reading ended, which everybody is told."""
    status, content = answer
    try:
        stated = json.loads(content)
    except ValueError:
        return answer
    if isinstance(stated, dict) and "readings" in stated and "entries" in stated:
        stated = {**stated, "readings": None}
        return status, json.dumps(stated).encode()
    return answer


def test_two_readers_are_compared_when_both_have_finished(case: Case) -> None:
    ann, bob, where = case.ann, case.bob, case.analysis
    assert (case.give(ann).status_code, case.give(bob).status_code) == (201, 201)
    assert ann.say(where, "accept", "detection-0").status_code == 201
    assert ann.say(where, "reject", "detection-1").status_code == 201
    assert ann.say(where, "add", box=box(PLACES[0])).status_code == 201
    for target in ("detection-0", "detection-1"):
        assert bob.say(where, "accept", target).status_code == 201
    near = (PLACES[0][0] + 10, PLACES[0][1])
    assert bob.say(where, "add", box=box(near)).status_code == 201  # what Ann added is hidden, and not in the way
    assert kind(bob.get(f"{where}/counts?review=consensus")) == "reading-conflict"
    stage = ann.finish(where).json()
    assert stage["stage"] == "waiting"
    assert len(ann.get(f"{where}/reviews").json()["entries"]) == 6
    assert kind(ann.say(where, "accept", "detection-1")) == "reading-conflict"  # a finished reading stays
    assert kind(ann.say(where, "accept", "detection-1", consensus=True)) == "reading-conflict"  # too early
    assert bob.finish(where).json()["stage"] == "consensus"
    view = bob.get(f"{where}/reviews").json()
    agreement = view["comparison"]["agreement"]
    # Both call detection-0 and the added one figures, and differ on detection-1: of 3, p_o = 2/3, p_e = 2/3 x 1 + 1/3 x 0.
    assert agreement == {"judged_by_both": 3, "agreed": 2, "kappa": 0, "disagreements": 1, "undecided": 1}
    (differ,) = [one for one in view["comparison"]["objects"] if not one["agreed"]]
    assert (differ["target"], differ["first"], differ["second"]) == ("detection-1", "Not mitosis", "Mitosis")
    assert len(view["same"]) == 1
    counts = bob.get(f"{where}/counts?review=consensus").json()
    assert [r["review"]["counts"]["mitotic_figures"] for r in counts["readings"]] == [len(DOTS), len(DOTS) + 1]
    assert (
        counts["review"]["counts"]["mitotic_figures"] == len(DOTS) + 1
    )  # what is not decided counts as the model says
    assert counts["review"]["rule"] == "consensus"
    said = case.mia.say(where, "reject", "detection-1", consensus=True)
    assert said.status_code == 201
    counts = bob.get(f"{where}/counts?review=consensus&field=150,650").json()
    assert counts["review"]["counts"]["mitotic_figures"] == len(DOTS)
    assert counts["agreement"]["undecided"] == 0
    assert (counts["agreement"]["disagreements"], counts["agreement"]["kappa"]) == (1, 0)
    (window,) = counts["fields"]
    assert [one["mitotic_figures"] for one in window["readings"]] == [len(DOTS), len(DOTS) + 1]
    assert window["reviewed"]["mitotic_figures"] == len(DOTS)
    for hotspot in (*counts["hotspots"], *counts["review"]["hotspots"]):
        assert len(hotspot["readings"]) == 2
    report = bob.get(f"{where}/report?review=consensus&field=150,650").json()
    for part in ("hotspots", "fields", "review", "readings", "agreement"):
        assert counts[part] == report[part], part
    back = case.mia.say(where, "undo", str(said.json()["number"]))
    assert (back.status_code, back.json()["consensus"]) == (201, True)
    assert bob.get(f"{where}/counts?review=consensus").json()["agreement"]["undecided"] == 1


def test_a_shared_key_cannot_look_under_another_name(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as client:
        analysis = f"/v1/analyses/{wait_for_end(client, submit(client, bring(client, field()))['id'])['id']}"
        client.post(f"{analysis}/reviews", json={"action": "reject", "target": "detection-0", "reviewer": "A"})
        for name in ("A", "B"):
            assert client.post(f"{analysis}/readings", json={"reviewer": name}).status_code == 201
            if name == "A":
                assert kind(client.post(f"{analysis}/readings", json={"reviewer": "B"})) == "reading-conflict"
                client.post(f"{analysis}/readings/1/finish")
        assert client.get(f"{analysis}/reviews").json()["entries"] == []
        hidden = client.get(f"{analysis}/counts?review=own&reviewer=A").json()["review"]
        assert (hidden["rejected"], hidden["last_entry"], hidden["last_at"]) == (0, 0, None)
        (row,) = client.get("/v1/worklist").json()["rows"]
        assert (row["reviewed"], row["readers"]) == (None, 0)
        as_a = {"action": "accept", "target": "detection-0", "reviewer": "A"}
        assert kind(client.post(f"{analysis}/reviews", json=as_a)) == "reading-conflict"
        assert kind(client.delete(f"{analysis}/readings/2")) == "reading-conflict"  # it would show A's
        assert client.post(f"{analysis}/readings/2/finish").json()["stage"] == "consensus"
        assert len(client.get(f"{analysis}/reviews").json()["entries"]) == 1


def test_readings_are_given_to_those_who_can_read(case: Case) -> None:
    where = f"{case.analysis}/readings"
    guest = bearer(open_access_key(case))
    assert case.client.get(where, headers=guest).status_code == 404
    strange = case.mia.send(where, {"reader": "key:0123", "reviewer": "X"})
    assert (kind(strange), "no member" in strange.json()["detail"]) == ("malformed-request", True)
    assert case.give(case.ann).status_code == 201
    assert kind(case.give(case.ann)) == "reading-conflict"
    number = case.mia.get(where).json()["readings"][0]["number"]
    assert kind(case.bob.send(f"{where}/{number}/finish")) == "reading-conflict"
    assert kind(case.ann.send(f"{where}/{number}", method="DELETE")) == "reading-conflict"
    assert kind(case.ann.send(f"{where}/999/finish")) == "not-found"
    assert case.mia.send(f"{where}/{number}", method="DELETE").status_code == 204
    assert case.mia.get(where).json()["readings"] == []
    for reader in (case.bob, case.ann):
        assert case.give(reader).status_code == 201
    assert kind(case.give(case.mia)) == "reading-conflict"


def open_access_key(case: Case) -> str:
    settings = case.client.app.state.settings  # type: ignore[attr-defined]
    return open_access(settings).keys.create("guest", ["score"])[0]


def test_what_is_signed_is_kept_and_says_whether_it_holds(case: Case) -> None:
    ann, where = case.ann, case.analysis
    ann.say(where, "reject", "detection-0")
    query = f"review=own&reviewer={ann.name.replace(' ', '%20')}"
    seen = ann.get(f"{where}/counts?{query}").json()
    wanted = {"review": "own", "reviewer": ann.name, "name": ann.name, "identity": seen["identity"]}
    signed = ann.send(f"{where}/signatures", wanted)
    assert signed.status_code == 201, signed.text
    assert (signed.json()["name"], signed.json()["reviewer"], signed.json()["current"]) == ("ann", ann.name, True)
    assert signed.json()["summary"]["slide"] == {"model": len(DOTS), "reviewed": len(DOTS) - 1}
    (stated,) = ann.get(f"{where}/report?{query}").json()["signatures"]
    assert stated["sha256"] == seen["identity"]
    later = ann.say(where, "reject", "detection-1").json()
    (stated,) = ann.get(f"{where}/report?{query}").json()["signatures"]
    assert stated["current"] is False
    as_signed = ann.get(f"{where}/report?signature={stated['number']}").json()
    assert as_signed["review"]["counts"]["mitotic_figures"] == len(DOTS) - 1
    assert as_signed["signatures"] == [stated]
    assert kind(ann.send(f"{where}/signatures", wanted)) == "counts-changed"
    ann.say(where, "undo", str(later["number"]))
    assert ann.get(f"{where}/signatures").json()["signatures"][0]["current"] is True  # the same counts stand again
    region = {"type": "Polygon", "coordinates": [[[0, 0], [400, 0], [400, 400], [0, 400], [0, 0]]]}
    assert ann.send(f"{where}/regions", {"within": region}, method="PUT").status_code == 200
    assert ann.get(f"{where}/signatures").json()["signatures"][0]["current"] is False
    assert ann.get(f"{where}/report?signature={stated['number']}").json()["review"] == as_signed["review"]
    assert case.bob.get(f"{where}/report?review=own").json()["signatures"] == []  # another's counts


def test_what_cannot_be_signed_is_refused(case: Case) -> None:
    where = f"{case.analysis}/signatures"
    case.give(case.ann)
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "malformed-request"),
        ({"review": "off"}, "malformed-request"),
        ({"review": "own", "signature": 1}, "malformed-request"),
        ({"review": "own", "identity": "x"}, "malformed-request"),
        ({"review": "own", "identity": "0" * 64}, "counts-changed"),
        ({"review": "consensus"}, "reading-conflict"),
        ({"review": "own", "within": None}, "malformed-request"),
    ]
    for body, wanted in cases:
        assert (body, kind(case.bob.send(where, body))) == (body, wanted)
    assert kind(case.ann.send(where, {"review": "own"})) == "reading-conflict"
    assert kind(case.bob.get(f"{case.analysis}/report?signature=7")) == "not-found"
    assert kind(case.bob.get(f"{case.analysis}/report?signature=7&review=own")) == "malformed-request"
