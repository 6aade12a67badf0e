"""Uploads over a line that breaks, to a server of the protocol's few rules."""

import asyncio
import base64
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from serving.client import AsyncClient, Client, ClientError, ConnectionLostError, RefusedError, RemoteSlide
from serving.client import uploads as protocol
from serving.client.effects import OnProgress
from serving.client.uploads import Notes

Upload = Callable[["TusServer", Path, Notes], RemoteSlide]


@dataclass
class TusServer:
    """One upload; `disturb` may take bytes off a piece and break the line after it."""

    length: int = -1
    stored: bytearray = field(default_factory=bytearray)
    name: str = ""
    created: int = 0
    disturb: Callable[[bytes], tuple[bytes, bool]] = lambda piece: (piece, False)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.created += 1
            self.stored.clear()
            self.length = int(request.headers["Upload-Length"])
            self.name = base64.b64decode(request.headers["Upload-Metadata"].split()[1]).decode()
            return httpx.Response(201, headers={"Location": "http://inside:3000/v1/uploads/u"})
        assert request.url.host == "server"
        if request.method == "GET":
            about = {"/v1/uploads/u": {"slide": "s"}, "/v1/slides/s": {"id": "s", "name": self.name}}
            return httpx.Response(200, json=about[request.url.path])
        assert request.url.path == "/v1/uploads/u"
        if self.length < 0:
            return httpx.Response(404, json={"type": "urn:mitoserve:problem:not-found", "detail": "no such upload"})
        if request.method == "HEAD":
            return httpx.Response(200, headers={"Upload-Offset": str(len(self.stored))})
        if int(request.headers["Upload-Offset"]) != len(self.stored):
            return httpx.Response(409)
        digest = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
        assert request.headers["Upload-Checksum"] == f"sha256 {digest}"
        piece, broken = self.disturb(request.content)
        self.stored += piece
        if broken:
            raise httpx.ReadError("the line broke")
        return httpx.Response(204, headers={"Upload-Offset": str(len(self.stored))})


def waiting(server: TusServer, path: Path, notes: Notes, on_progress: OnProgress | None = None) -> RemoteSlide:
    with Client("http://server", notes=notes, transport=httpx.MockTransport(server)) as client:
        return client.upload(path, on_progress=on_progress)


def awaiting(server: TusServer, path: Path, notes: Notes) -> RemoteSlide:
    async def run() -> RemoteSlide:
        async with AsyncClient("http://server", notes=notes, transport=httpx.MockTransport(server)) as client:
            return await client.upload(path)

    return asyncio.run(run())


BOTH = pytest.mark.parametrize("upload", [waiting, awaiting])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a server to recover; pieces are small."""

    async def soon(_: float) -> None:
        return None

    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("asyncio.sleep", soon)
    monkeypatch.setattr(protocol, "PIECE_BYTES", 1000)


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "Übersicht 1.svs"
    path.write_bytes(random.Random(1).randbytes(10_500))
    return path


@BOTH
def test_a_slide_arrives_whole(upload: Upload, slide: Path, notes: Notes) -> None:
    server = TusServer()
    assert upload(server, slide, notes) == RemoteSlide("s", slide.name, {"id": "s", "name": slide.name})
    assert server.stored == slide.read_bytes()


@BOTH
@pytest.mark.parametrize("seed", range(5))
def test_a_line_that_breaks_costs_a_piece(upload: Upload, slide: Path, notes: Notes, seed: int) -> None:
    chance = random.Random(seed)

    def disturb(piece: bytes) -> tuple[bytes, bool]:
        broken = chance.random() < 0.5
        return (piece[: chance.randrange(len(piece) + 1)] if broken else piece), broken

    server = TusServer(disturb=disturb)
    upload(server, slide, notes)
    assert server.stored == slide.read_bytes()
    assert server.created == 1


@BOTH
def test_another_process_goes_on(upload: Upload, slide: Path, notes: Notes) -> None:
    server = TusServer(disturb=lambda piece: (piece if len(server.stored) < 5000 else b"", len(server.stored) >= 5000))
    with pytest.raises(ConnectionLostError, match="again"):
        upload(server, slide, notes)
    sent: list[int] = []
    server.disturb = lambda piece: (sent.append(len(piece)) or piece, False)  # type: ignore[func-returns-value]
    upload(server, slide, notes)
    assert server.created == 1
    assert sum(sent) == 5500
    assert server.stored == slide.read_bytes()
    upload(server, slide, notes)
    assert server.created == 2


def test_an_upload_that_the_server_gave_up_starts_anew(slide: Path, notes: Notes) -> None:
    notes.keep("http://server", slide, "/v1/uploads/u")
    server = TusServer()
    waiting(server, slide, notes)
    assert server.created == 1
    assert server.stored == slide.read_bytes()


def test_a_changed_file_is_another_upload(slide: Path, notes: Notes) -> None:
    notes.keep("http://server", slide, "/v1/uploads/u")
    assert notes.find("http://server", slide) == "/v1/uploads/u"
    assert notes.find("http://other", slide) is None
    slide.write_bytes(slide.read_bytes() + b"x")
    assert notes.find("http://server", slide) is None


def test_progress_is_told(slide: Path, notes: Notes) -> None:
    told: list[tuple[int, int]] = []
    waiting(TusServer(), slide, notes, on_progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 10_500)
    assert told[-1] == (10_500, 10_500)
    assert told == sorted(told)


def test_a_refusal_is_told_and_not_repeated(slide: Path, notes: Notes) -> None:
    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(413, json={"type": "urn:mitoserve:problem:slide-too-large", "detail": "too large"})

    with Client("http://server", notes=notes, transport=httpx.MockTransport(refuse)) as client:
        with pytest.raises(RefusedError, match="too large") as refusal:
            client.upload(slide)
        assert (refusal.value.status, refusal.value.kind) == (413, "slide-too-large")
    assert asked == ["POST"]


def test_a_busy_server_is_asked_again_when_it_says(slide: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    server = TusServer()
    answers = [httpx.Response(503, headers={"Retry-After": "7"}), httpx.Response(502)]

    def busy(request: httpx.Request) -> httpx.Response:
        return answers.pop(0) if answers else server(request)

    with Client("http://server", notes=notes, transport=httpx.MockTransport(busy)) as client:
        client.upload(slide)
    assert pauses[0] == 7
    assert 1 <= pauses[1] <= 2
    assert server.stored == slide.read_bytes()


def test_a_server_that_stays_away_is_given_up(slide: Path, notes: Notes) -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with (
        Client("http://server", notes=notes, transport=httpx.MockTransport(away)) as client,
        pytest.raises(ConnectionLostError, match="ConnectError"),
    ):
        client.upload(slide)


def test_a_missing_file_is_named(tmp_path: Path, notes: Notes) -> None:
    with (
        Client("http://server", notes=notes, transport=httpx.MockTransport(TusServer())) as client,
        pytest.raises(ClientError, match=r"none\.svs"),
    ):
        client.upload(tmp_path / "none.svs")


def test_the_key_is_shown(slide: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str | None] = []
    server = TusServer()

    def handler(request: httpx.Request) -> httpx.Response:
        shown.append(request.headers.get("Authorization"))
        return server(request)

    transport = httpx.MockTransport(handler)
    with Client("http://server", key="mito_a_b", notes=notes, transport=transport) as client:
        client.upload(slide)
    for variable, key in (("MITOSERVE_KEY", "mito_c_d"), ("MITOSIS_KEY", "mito_e_f")):  # the present name wins
        monkeypatch.setenv(variable, key)
        with Client("http://server", notes=notes, transport=transport) as client:
            client.upload(slide)
    assert list(dict.fromkeys(shown)) == ["Bearer mito_a_b", "Bearer mito_c_d", "Bearer mito_e_f"]
