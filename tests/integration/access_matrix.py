"""Every route and who may call it, asked of the app: `python -m tests.integration.access_matrix` writes the docs' table."""

import io
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from PIL import Image

from serving.access import authenticator
from serving.access.access import open_access
from serving.access.projects import ROLES
from serving.api.app import create_app
from serving.registry.registry import ModelRegistry
from serving.registry.version import VersionId
from serving.settings import ServerSettings
from serving.store.database import open_database
from tests.clients import LocalClient, bearer
from tests.fakes import DotDetector, plant, tissue
from tests.limits import LONGEST_S
from tests.quick_models import write_quick_models
from tests.services import without_wait

DOCUMENT = Path(__file__).parents[2] / "docs" / "access.md"
START, END = "<!-- matrix: written by make access -->\n", "<!-- end of matrix -->"

CALLERS = ("no key", "wrong key", "read key", "owner's key", "other owner's key", "admin key")
"""The keys of an owner and another have the scope `score`."""

ROLES_ASKED = tuple(f"project's {role}" for role in ROLES)
"""Keys of the scope `score` whose holders act as a project that has the things, each in a role."""

_METHODS = ("get", "head", "post", "put", "patch", "delete")
_REGION = {"type": "Polygon", "coordinates": [[[0, 0], [90, 0], [90, 90], [0, 0]]]}
_SHUT_OUT = {401: "who are you?", 403: "may not", 404: "not there"}


@dataclass(frozen=True, slots=True)
class MatrixLine:
    """One route's answers."""

    method: str
    template: str
    answers: dict[str, str] = field(default_factory=dict)


def matrix() -> list[MatrixLine]:
    """The answer of every route to every caller: how it shuts out, or `yes`."""
    with tempfile.TemporaryDirectory() as scratch, _app(Path(scratch)) as (client, tokens):
        paths = client.get("/openapi.json").json()["paths"]
        lines = [MatrixLine(m, t) for t in paths for m in _METHODS if m in paths[t]]
        own = Owner(client, bearer(tokens["owner's key"]), bearer(tokens["owner's key"]))
        acting = _make_project(client, tokens)
        shared = Owner(client, acting["project's manager"], bearer(tokens["project's manager"]))
        for line in lines:
            for caller in (*CALLERS, *ROLES_ASKED):
                owner = shared if caller in ROLES_ASKED else own
                things = owner.things()
                shown = acting.get(caller) or (bearer(tokens[caller]) if caller in tokens else {})
                headers = {**_HEADERS.get(line.method, {}), **shown}
                wanted = {
                    "post /v1/analyses": {"slide": things["slide_id"]},
                    "post /v1/analyses/{analysis_id}/reviews": {"action": "accept", "target": "detection-0"},
                    "post /v1/analyses/{analysis_id}/counts": {},
                    "post /v1/analyses/{analysis_id}/readings": {"reviewer": caller},
                    "post /v1/analyses/{analysis_id}/signatures": {"review": "own"},
                    "put /v1/analyses/{analysis_id}/regions": {},
                    "put /v1/analyses/{analysis_id}/regions/{use}": _REGION,
                    "patch /v1/slides/{slide_id}": {"case": "4"},
                    "post /v1/projects": {"name": "a"},
                    "post /v1/studies": {**_STUDY, "analyses": [things["analysis_id"]]},
                    "put /v1/studies/{study_id}/reading/{analysis_id}": {"finished": True},
                    "put /v1/projects/{project_id}/members/{principal}": {"role": "reader"},
                    "post /v1/projects/{project_id}/slides": {"slides": [things["own_slide_id"]]},
                }.get(f"{line.method} {line.template}")
                headers |= {} if wanted is None else {"Content-Type": "application/json"}
                if "/readings/" in line.template:
                    things = {**things, "number": things["reading"]}
                address = line.template.format(**{**things, "principal": f"key:{line.method.encode().hex()}"})
                answer = client.request(line.method.upper(), without_wait(address), headers=headers, json=wanted)
                line.answers[caller] = _word(answer.status_code, answer.text)
                if line.method not in ("get", "head") and "_id}" in line.template and line.answers[caller] == "yes":
                    owner.forget()
        return lines


class Owner:
    """Somebody who has a slide, an upload that has begun, and an analysis that has succeeded."""

    def __init__(self, client: LocalClient, key: dict[str, str], personal: dict[str, str]) -> None:
        """`key` : headers under which things are made; `personal` : those of the same person acting as nobody else"""
        self._client, self._key, self._personal = client, key, personal
        self._pictures = 0
        self._kept: dict[str, str] = {}

    def things(self) -> dict[str, str]:
        """Ids by the names that addresses give them."""
        self._kept = self._kept or self._made()
        return self._kept

    def forget(self) -> None:
        """Something was changed or removed: the next is asked of new things."""
        self._kept = {}

    def _made(self) -> dict[str, str]:
        self._pictures += 1
        pixels = tissue(300, 300)
        plant(pixels, 100 + self._pictures, 100)
        picture = io.BytesIO()
        Image.fromarray(pixels).save(picture, "PNG")
        post = self._client.post
        slide = post("/v1/slides?filename=a.png", content=picture.getvalue(), headers=self._key).json()["id"]
        upload = post(
            "/v1/uploads", headers={**self._key, **_TUS, "Upload-Length": "9", "Upload-Metadata": "name YS5wbmc="}
        )
        wanted = {"slide": slide, "options": {"mpp": 0.25}}
        analysis = post("/v1/analyses", json=wanted, headers=self._key).json()["id"]
        while self._client.get(f"/v1/analyses/{analysis}", headers=self._key).json()["state"] != "succeeded":
            time.sleep(0.02)
        upload_id = upload.headers["Location"].rsplit("/", 1)[1]
        own = post("/v1/slides?filename=b.png", content=picture.getvalue() + b"own", headers=self._personal).json()[
            "id"
        ]
        project = post("/v1/projects", json={"name": "mine"}, headers=self._personal).json()["id"]
        project = self._key.get("Mitoserve-Project", project)
        leaves = {"role": "reader"}
        self._client.put(f"/v1/projects/{project}/members/key:{b'delete'.hex()}", json=leaves, headers=self._personal)
        me = self._client.get("/v1/me", headers=self._key).json()["id"]
        members = self._client.get(f"/v1/projects/{project}", headers=self._personal).json()["members"]
        acting = (
            {m["principal"] for m in members if m["role"] != "reader"} if "Mitoserve-Project" in self._key else {me}
        )
        study = {"name": "a", "analyses": [analysis], "readers": [{"author": author} for author in sorted(acting)]}
        ids = {
            "reading": str(post(f"/v1/analyses/{analysis}/readings", json={}, headers=self._key).json()["number"]),
            "study_id": post("/v1/studies", json=study, headers=self._key).json()["id"],
            "project_id": project,
            "own_slide_id": own,
            "name": "det",
            "slide_id": slide,
            "upload_id": upload_id,
            "analysis_id": analysis,
        }
        return ids | _PLACES


def table(lines: list[MatrixLine]) -> str:
    """The lines as a table in Markdown."""
    asked = (*CALLERS, *ROLES_ASKED)
    rows = [("route", *asked), ("---",) * (len(asked) + 1)]
    rows += [(f"`{li.method.upper()} {li.template}`", *(li.answers[c] for c in asked)) for li in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def find_documented(text: str, lines: list[MatrixLine]) -> str:
    """The page `text` with the table in its place."""
    before, rest = text.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{table(lines)}\n{END}{after}"


_PLACES = {
    "use": "within",
    **{"level": "0", "column": "0", "row": "0", "suffix": "json"},
    **{
        "region": "full",
        "size": "max",
        "rotation": "0",
        "leaf": "default.jpg",
        "model": "mitosis",
        "page": "index.html",
        "version": "0.0.1",
        "number": "1",
        "table": "readings",
    },
}
"""What addresses of parts of a slide, and of models, name besides."""

_STUDY = {"name": "a", "readers": [{"author": "key:0"}]}
"""Refused for its reader, after it was found who may make one."""

_TUS = {"Tus-Resumable": "1.0.0"}
_HEADERS = {
    "head": _TUS,
    "post": {**_TUS, "X-HTTP-Method-Override": "DELETE"},
    "patch": {**_TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    "delete": _TUS,
}
"""What tus asks for, by method; other routes do not mind."""


def _make_project(client: LocalClient, tokens: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Headers by which each of three people acts as one project, each in a role."""
    manager = bearer(tokens["project's manager"])
    project = client.post("/v1/projects", json={"name": "shared"}, headers=manager).json()["id"]
    for role in ROLES[:-1]:
        token = tokens[f"project's {role}"]
        principal = f"key:{token.split('_')[1]}"
        client.put(f"/v1/projects/{project}/members/{principal}", json={"role": role}, headers=manager)
    return {
        f"project's {role}": {**bearer(tokens[f"project's {role}"]), "Mitoserve-Project": project} for role in ROLES
    }


@contextmanager
def _app(scratch: Path) -> Iterator[tuple[LocalClient, Mapping[str, str]]]:
    settings = ServerSettings(
        state=scratch / "state", models=write_quick_models(scratch / "models"), model_window_s=LONGEST_S
    )
    database = open_database(settings)
    registry = ModelRegistry(settings, database)
    registry.promote(["0.0.1"], "operator")
    registry.shadows.start((VersionId("reg-ns", "0.0.2", "0" * 64),), 0.1, "operator")
    database.close()
    keys = open_access(settings).keys
    tokens = {
        "wrong key": f"mito_{'0' * 12}_{'x' * 43}",
        "read key": keys.create("reader", ["read"])[0],
        "owner's key": keys.create("owner", ["score"])[0],
        "other owner's key": keys.create("other", ["score"])[0],
        "admin key": keys.create("admin", ["admin"])[0],
        **{asked: keys.create(asked, ["score"])[0] for asked in ROLES_ASKED},
    }
    app = create_app(settings, load=DotDetector)
    # Two strangers ask at every address in a few seconds; what is asked here is who is let in, not how often.
    unlimited = patch.object(authenticator, "FAILURES_PER_MINUTE", 10_000)
    with unlimited, LocalClient(app, raise_server_exceptions=False) as client:
        while client.get("/readyz").status_code != 200:
            pass  # the planted detector loads in a moment
        yield client, tokens


def _word(status: int, text: str) -> str:
    assert status != 429, "a limit of requests says nothing of who is let in"
    return _SHUT_OUT.get(status, "yes" if status < 500 else f"broken: {text}")


if __name__ == "__main__":
    DOCUMENT.write_text(find_documented(DOCUMENT.read_text(), matrix()))
