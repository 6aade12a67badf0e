"""Projects: people with keys of their own see one case, each as far as their role goes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.access.access import AccessControl, open_access
from serving.settings import ServerSettings
from tests.clients import LocalClient, bearer
from tests.services import DOTS, field, kind, serving, until

pytestmark = pytest.mark.integration


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a key of their own."""

    client: LocalClient
    headers: dict[str, str]

    @property
    def id(self) -> str:
        return str(self.get("/v1/me")["id"])

    def get(self, address: str, project: str = "") -> Any:
        return self.client.get(address, headers=self.headers | acting(project)).json()

    def send(self, method: str, address: str, project: str = "", **more: Any) -> Any:
        return self.client.request(method, address, headers=self.headers | acting(project), **more)

    def score(self, project: str = "", *, seed: int = 0) -> tuple[str, str]:
        """Ids of a slide and of its analysis, which has ended."""
        brought = self.send("POST", "/v1/slides", project, files={"slide": ("CASE-1.png", field(seed=seed))}).json()
        wanted = {"slide": brought["id"], "options": {"mpp": 0.25}}
        made = self.send("POST", "/v1/analyses", project, json=wanted).json()
        until(lambda: self.get(f"/v1/analyses/{made['id']}", project)["state"] == "succeeded")
        return brought["id"], made["id"]


def acting(project: str) -> dict[str, str]:
    return {"Mitoserve-Project": project} if project else {}


@dataclass(frozen=True, slots=True)
class Lab:
    client: LocalClient
    access: AccessControl

    def person(self, name: str, scope: Any = "score") -> Person:
        return Person(self.client, bearer(self.access.keys.create(name, [scope])[0]))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    access = open_access(ServerSettings(state=tmp_path / "state"))
    with serving(tmp_path / "state") as client:
        yield Lab(client, access)


def make_project(founder: Person, **members: Person) -> str:
    """The id of a project with members by their roles."""
    project = str(founder.send("POST", "/v1/projects", json={"name": "Breast, 2026"}).json()["id"])
    for role, person in members.items():
        address = f"/v1/projects/{project}/members/{person.id}"
        assert founder.send("PUT", address, json={"role": role}).status_code == 200
    return project


def test_two_people_see_one_case_and_each_says_what_they_say(lab: Lab) -> None:
    ann, bob, eve = lab.person("ann"), lab.person("bob"), lab.person("eve")
    project = make_project(ann, reviewer=bob)
    slide, analysis = ann.score(project)
    assert [row["slide"] for row in bob.get("/v1/worklist", project)["rows"]] == [slide]
    assert bob.get("/v1/worklist")["rows"] == []  # nobody else's things are mixed with one's own
    said = f"/v1/analyses/{analysis}/reviews"
    assert bob.send("POST", said, project, json={"action": "reject", "target": "detection-0"}).status_code == 201
    assert ann.send("POST", said, project, json={"action": "accept", "target": "detection-0"}).status_code == 201
    view = ann.get(said, project)
    assert [entry["author"] for entry in view["entries"]] == [bob.id, ann.id]
    assert view["you"] == ann.id
    (row,) = bob.get("/v1/worklist", project)["rows"]
    assert (row["owner"], row["readers"]) == (f"project:{project}", 2)
    assert row["reviewed"] == {"mitotic_figures": len(DOTS) - 1, "judged": 1}
    assert kind(eve.send("GET", "/v1/worklist", project)) == "not-found"
    assert kind(eve.send("GET", f"/v1/analyses/{analysis}")) == "not-found"


def test_a_role_ends_when_it_is_taken(lab: Lab) -> None:
    ann, bob = lab.person("ann"), lab.person("bob")
    project = make_project(ann, manager=bob)
    address = f"/v1/projects/{project}/members/{bob.id}"
    assert bob.send("GET", "/v1/slides", project).status_code == 200
    assert ann.send("PUT", address, json={"role": "reader"}).json()["members"][1]["role"] == "reader"
    wanted = {"files": {"slide": ("a.png", field())}}
    until(lambda: bob.send("POST", "/v1/slides", project, **wanted).status_code == 403)
    assert bob.send("DELETE", address).status_code == 204  # whoever wants to leaves
    until(lambda: bob.send("GET", "/v1/slides", project).status_code == 404)
    assert kind(ann.send("DELETE", f"/v1/projects/{project}/members/{ann.id}")) == "malformed-request"
    assert (
        kind(ann.send("PUT", f"/v1/projects/{project}/members/{ann.id}", json={"role": "reader"}))
        == "malformed-request"
    )
    assert kind(ann.send("PUT", f"/v1/projects/{project}/members/Bob", json={"role": "reader"})) == "malformed-request"
    assert kind(ann.send("POST", "/v1/projects", json={"name": " "})) == "malformed-request"


def test_no_role_allows_more_than_the_key(lab: Lab) -> None:
    ann, guest = lab.person("ann"), lab.person("guest", "read")
    project = make_project(ann, manager=guest)
    answer = guest.send("POST", "/v1/slides", project, files={"slide": ("a.png", field())})
    assert kind(answer) == "forbidden"
    assert guest.get("/v1/me", project)["project"] == {
        **guest.get("/v1/me", project)["projects"][0],
        "name": "Breast, 2026",
        "role": "manager",
    }


def test_slides_of_ones_own_are_given_to_a_project_with_what_was_said(lab: Lab) -> None:
    ann, bob = lab.person("ann"), lab.person("bob")
    project = make_project(ann, reader=bob)
    slide, analysis = ann.score()
    ann.send("POST", f"/v1/analyses/{analysis}/reviews", json={"action": "reject", "target": "detection-0"})
    give = f"/v1/projects/{project}/slides"
    assert kind(ann.send("POST", give, json={"slides": [slide, "0" * 64]})) == "not-found"
    assert ann.get("/v1/worklist")["total"] == 1  # all of them or none
    assert ann.send("POST", give, json={"slides": [slide, slide]}).json() == {"slides": [slide]}
    assert ann.get("/v1/worklist")["total"] == 0
    (row,) = bob.get("/v1/worklist", project)["rows"]
    assert (row["scored"]["id"], row["readers"]) == (analysis, 1)
    again, second = ann.score()  # the same slide once more: the project keeps its own and gets the analysis
    assert ann.send("POST", give, json={"slides": [again]}).status_code == 200
    (row,) = bob.get("/v1/worklist", project)["rows"]
    assert (row["analyses"], row["latest"]["id"]) == (2, second)


def test_the_server_says_whom_it_takes_one_for(lab: Lab, tmp_path: Path) -> None:
    ann, root = lab.person("ann"), lab.person("root", "admin")
    found = ann.get("/v1/me")
    assert (found["name"], found["shown"], found["scopes"]) == ("ann", "key", ["read", "score"])
    assert (found["projects"], found["project"]) == ([], None)
    project = make_project(ann)
    assert root.get("/v1/me", project)["project"]["role"] == "manager"  # administrators act as every project
    assert kind(root.send("GET", "/v1/slides", "none")) == "not-found"
    assert "Mitoserve-Project" not in str(found)
    with serving(tmp_path / "other") as client:
        assert client.get("/v1/me").json()["shown"] == "machine"
