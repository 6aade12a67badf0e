import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.client import AnalysisFailedError, Client, ClientError
from serving.client.uploads import Notes


def document(state: str, *, done: int = 0, total: int | None = None, **more: Any) -> dict[str, Any]:
    progress = {"tiles_done": done, "tiles_total": total, "seconds_left": None}
    return {"id": "a-1", "state": state, "progress": progress, **more}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def client(handler: Any, folder: Path) -> Client:
    return Client("http://server", notes=Notes(folder), transport=httpx.MockTransport(handler))


def test_an_analysis_is_waited_for(tmp_path: Path) -> None:
    answers = [document("queued"), document("running", done=1, total=4), document("succeeded", done=4, total=4)]
    told: list[tuple[int, int]] = []
    with client(lambda _: httpx.Response(200, json=answers.pop(0)), tmp_path) as server:
        assert server.wait("a-1", on_progress=lambda done, total: told.append((done, total))).ended
    assert told == [(1, 4), (4, 4)]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_an_analysis_without_a_result_is_an_error(tmp_path: Path, state: str) -> None:
    answer = httpx.Response(200, json=document(state, detail="the slide is damaged"))
    with client(lambda _: answer, tmp_path) as server, pytest.raises(AnalysisFailedError, match="is damaged"):
        server.wait("a-1")


def test_a_start_that_was_not_answered_is_the_same_start(tmp_path: Path) -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) == 1:
            raise httpx.ReadTimeout("no answer")
        return httpx.Response(202, json=document("queued"))

    with client(handler, tmp_path) as server:
        assert server.start("s-1", mpp=0.25).state == "queued"
        server.start("s-1")
    keys = [request.headers["Idempotency-Key"] for request in asked]
    assert keys[0] == keys[1] != keys[2]
    assert json.loads(asked[0].content) == {"slide": "s-1", "options": {"mpp": 0.25}}


def test_a_download_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out" / "map.png"

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["Accept"] == "image/png"
        return httpx.Response(200, content=b"picture")

    with client(handler, tmp_path) as server:
        server.download("a-1", "png", path)
        assert path.read_bytes() == b"picture"
        assert server.fetch("a-1", "png") == b"picture"
        assert [p.name for p in path.parent.iterdir()] == ["map.png"]
    problem = {"type": "urn:mitoserve:problem:not-finished", "detail": "no result yet"}
    with client(lambda _: httpx.Response(409, json=problem), tmp_path) as server:
        with pytest.raises(ClientError, match="no result yet"):
            server.download("a-1", "png", path)
        assert path.read_bytes() == b"picture"
        with pytest.raises(ClientError, match="report, geojson"):
            server.fetch("a-1", "docx")


def test_answers_of_something_else_are_said_to_be(tmp_path: Path) -> None:
    with (
        client(lambda _: httpx.Response(404, text="<html>"), tmp_path) as server,
        pytest.raises(ClientError, match="not of a Mitoserve server"),
    ):
        server.look("a-1")
