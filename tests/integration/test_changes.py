"""`GET /v1/analyses/{id}/changes`: what is recorded by one server is heard of at another on the same database."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event

from serving.review import record_watch
from serving.settings import ServerSettings
from serving.store.database import open_database
from tests.browser.gated_server import KillableServer
from tests.services import bring, field, serving, submit, until

REGION = {
    "type": "Feature",
    "properties": {},
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [300, 0], [300, 300], [0, 300], [0, 0]]]},
}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[KillableServer, KillableServer]]:
    """Two processes on one state."""
    (tmp_path / "gate").touch()
    both = [KillableServer(tmp_path / "state", gate=tmp_path / "gate") for _ in range(2)]
    try:
        for server in both:
            server.start()
        yield both[0], both[1]
    finally:
        for server in both:
            server.kill()


def hear(client: httpx.Client, address: str) -> Iterator[dict[str, int]]:
    """What the events say that tell of something new, from one stream to the next as long as there is one."""
    said: dict[str, int] = {}
    while True:
        with client.stream("GET", address) as stream:
            if stream.status_code == 404:
                return
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.headers["cache-control"] == "no-store"
            for line in stream.iter_lines():
                found = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else said
                if found != said:
                    said = found
                    yield said


@pytest.mark.timeout(1800)
def test_what_one_server_records_is_heard_of_at_another(servers: tuple[KillableServer, KillableServer]) -> None:
    here, there = (httpx.Client(base_url=server.address, timeout=600) for server in servers)
    with here, there:
        stored = here.post("/v1/slides", files={"slide": ("dots.png", field())}).json()
        own = here.post("/v1/analyses", json={"slide": stored["id"], "options": {"mpp": 0.25}}).json()["links"]["self"]
        until(lambda: here.get(own).json()["state"] == "succeeded")
        lines = hear(here, f"{own}/changes")
        assert next(lines) == {"reviews": 0, "regions": 0}
        verdict = {"action": "reject", "target": "detection-0", "reviewer": "Dr. B", "reason": "a secret"}
        number = there.post(f"{own}/reviews", json=verdict).json()["number"]
        assert next(lines) == {"reviews": number, "regions": 0}
        drawn = there.put(f"{own}/regions", json={"within": REGION}).json()["entries"][-1]["number"]
        assert next(lines) == {"reviews": number, "regions": drawn}
        there.delete(own)
        assert next(lines, None) is None  # it ends with the analysis


def test_all_who_follow_share_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_watch, "LOOK_S", 3600.0)
    asked: list[str] = []
    with serving(tmp_path) as client:
        own = [submit(client, bring(client, field(seed=seed)))["links"]["self"] for seed in (1, 2)]
        names = [path.rsplit("/", 1)[1] for path in own]
        until(lambda: all(client.get(path).json()["state"] == "succeeded" for path in own))
        number = client.post(f"{own[0]}/reviews", json={"action": "accept", "target": "detection-0"}).json()["number"]
        database = open_database(ServerSettings(state=tmp_path))
        event.listen(database.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
        watch = record_watch.RecordWatch(database)
        with watch.follow(names[0]), watch.follow(names[1]), watch.follow(names[0]), watch.follow("none"):
            for _ in range(3):
                assert watch.look(names[0]) == record_watch.LastEntries(reviews=number)
                assert watch.look(names[1]) == record_watch.LastEntries()
                assert watch.look("none") is None
            assert len([text for text in asked if text.startswith("SELECT")]) == 3  # of each table once
        database.close()


def test_a_stream_ends_when_it_was_asked_to_and_none_is_there_without_an_analysis(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert client.get("/v1/analyses/none/changes").status_code == 404
        own = submit(client, bring(client, field()))["links"]["self"]
        said = client.get(f"{own}/changes?longest_s=0").text
        assert json.loads(said.split("data: ")[1].split("\n")[0]) == {"reviews": 0, "regions": 0}
        assert client.get(f"{own}/changes?longest_s=31").status_code == 400
