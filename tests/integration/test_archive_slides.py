"""Slides that the server fetches by DICOMweb: of archives that its operator named alone, within bounds, and only the series asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from serving.api.app import create_app
from serving.settings import ServerSettings, SettingsError
from serving.store import archive_slides
from serving.store.archive_slides import ArchivedSeries, find_address
from tests.clients import LocalClient
from tests.dicom import write_dicom_slide
from tests.dicomweb_server import Archive, archive
from tests.fakes import DotDetector
from tests.samples import noise

pytestmark = pytest.mark.integration

MOST_BYTES = 4_000_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Archive, dict[str, str]]]:
    """An archive with a slide, and what asks for it."""
    folder = write_dicom_slide(tmp_path_factory.mktemp("dicom") / "a", noise(600, 500), mpp=0.25)
    with archive() as server:
        steps = server.add(folder).split("/")
        yield server, {"archive": "pacs", "study": steps[-3], "series": steps[-1]}


class Answer(BaseHTTPRequestHandler):
    """Gives what the test says, whatever is asked."""

    status, headers_sent, body = 200, {"Content-Type": "text/html"}, b"<html>log in</html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[tuple[str, type[Answer]]]:
    class Given(Answer):
        """Of this test alone."""

    with HTTPServer(("127.0.0.1", 0), Given) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web", Given
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def other() -> Iterator[tuple[str, type[Answer]]]:
    with answering() as found:
        yield found


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "state"


@pytest.fixture(scope="module")
def client(
    served: tuple[Archive, dict[str, str]], other: tuple[str, type[Answer]], state: Path
) -> Iterator[LocalClient]:
    settings = ServerSettings(
        state=state,
        max_upload_bytes=MOST_BYTES,
        dicomweb_archives=(f"pacs={served[0].url}", f"odd={other[0]}"),
        dicomweb_token="secret-of-the-pacs",
        dicomweb_hosts=(served[0].url.split("/")[2],),
    )
    with LocalClient(create_app(settings, load=DotDetector), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_slides, "RESTS_S", (0.0, 0.0))


def kind(answer: Any) -> str:
    return str(answer.json()["type"]).rpartition("/")[2].rpartition(":")[2]


def test_a_series_becomes_a_slide_and_the_token_is_shown(
    client: LocalClient, served: tuple[Archive, dict[str, str]]
) -> None:
    served[0].token = "secret-of-the-pacs"
    answer = client.post("/v1/slides", json=served[1])
    served[0].token = ""
    assert answer.status_code == 201, answer.text
    slide = answer.json()
    assert (slide["width"], slide["height"], slide["mounted"]) == (600, 500, False)
    assert client.post("/v1/slides", json=served[1]).json()["id"] == slide["id"]
    assert client.get(f"/v1/slides/{slide['id']}/thumbnail").status_code == 200
    queued = client.post("/v1/analyses", json={"slide": slide["id"]})
    assert queued.status_code in (201, 202), queued.text


@pytest.mark.parametrize(
    "change",
    [
        {"archive": "http://169.254.169.254/"}, {"archive": ""}, {"archive": "PACS"}, {"series": "../../../admin"},
        {"series": "1.2/../3"}, {"series": "1.2?q=1"}, {"series": "1.2%2f.."}, {"series": "1.2\n"}, {"study": "1..2"},
        {"study": "1.2@evil.example"}, {"study": "\u0661.2"}, {"study": ""},
    ],
)  # fmt: skip
def test_names_and_ids_that_lead_elsewhere_are_refused_before_anything_is_asked(
    client: LocalClient, served: tuple[Archive, dict[str, str]], change: dict[str, str]
) -> None:
    before = len(served[0].requests)
    answer = client.post("/v1/slides", json=served[1] | change)
    assert (answer.status_code // 100, kind(answer)) == (4, "malformed-request")
    assert len(served[0].requests) == before


def test_a_redirect_to_another_host_is_not_followed(
    client: LocalClient, served: tuple[Archive, dict[str, str]], other: tuple[str, type[Answer]]
) -> None:
    other[1].status, other[1].headers_sent = 302, {"Location": f"{served[0].url}/elsewhere"}
    before = len(served[0].requests)
    answer = client.post("/v1/slides", json=served[1] | {"archive": "odd"})
    assert (answer.status_code, kind(answer)) == (503, "storage-unavailable")
    assert len(served[0].requests) == before


@pytest.mark.parametrize(
    "case",
    [
        ("text/html", b"<html>log in</html>", "storage-unavailable"),
        ("multipart/related", b"--x--", "storage-unavailable"),
        ("multipart/related; boundary=x", b"--x\r\n\r\nno end", "storage-unavailable"),
        ("multipart/related; boundary=x", b"--x\r\n\r\nno DICOM\r\n--x--\r\n", "unreadable-slide"),
        ("multipart/related; boundary=x", b"--x\r\n\r\n" + bytes(MOST_BYTES + 1) + b"\r\n--x--\r\n", "slide-too-large"),
        ("multipart/related; boundary=x", b"--x\r\n\r\na\r\n" * 10_002 + b"--x--\r\n", "slide-too-large"),
    ],
)
def test_what_an_archive_must_not_send_is_refused_and_nothing_of_it_stays(
    client: LocalClient,
    served: tuple[Archive, dict[str, str]],
    other: tuple[str, type[Answer]],
    state: Path,
    case: tuple[str, bytes, str],
) -> None:
    content_type, body, expected = case
    other[1].status, other[1].headers_sent, other[1].body = 200, {"Content-Type": content_type}, body
    answer = client.post("/v1/slides", json=served[1] | {"archive": "odd"})
    assert kind(answer) == expected, answer.text
    assert not [path for path in state.rglob("series-*") if path.is_dir()]


def test_another_series_does_not_take_its_place(client: LocalClient, served: tuple[Archive, dict[str, str]]) -> None:
    server, asked = served
    server.series["1.2.3"] = server.series[asked["series"]]
    answer = client.post("/v1/slides", json=asked | {"series": "1.2.3"})
    assert (answer.status_code, kind(answer)) == (422, "unreadable-slide")
    assert "another study or series" in answer.json()["detail"]


def test_what_breaks_off_is_fetched_again(client: LocalClient, served: tuple[Archive, dict[str, str]]) -> None:
    server, asked = served
    server.break_off_after = 20_000
    before = len(server.requests)
    answer = client.post("/v1/slides", json=asked)
    server.break_off_after = None
    assert (answer.status_code, kind(answer)) == (503, "storage-unavailable")
    assert len(server.requests) - before == 3


def test_a_series_that_the_archive_lacks(client: LocalClient, served: tuple[Archive, dict[str, str]]) -> None:
    answer = client.post("/v1/slides", json=served[1] | {"series": "1.2.3.4"})
    assert (answer.status_code, kind(answer)) == (404, "not-found")


def test_archives_are_named_as_they_must() -> None:
    stated = "pacs=https://pacs.example/dicom-web/, lab=http://127.0.0.1:8042/dicom-web"
    settings = ServerSettings.model_validate({"dicomweb_archives": stated})
    address = find_address(ArchivedSeries("pacs", "1.2", "3.4"), settings)
    assert address == "dicomweb+https://pacs.example/dicom-web/studies/1.2/series/3.4"
    for wrong in (
        "https://pacs.example",
        "pacs=ftp://x",
        "PACS=https://x",
        "a=https://x,a=https://y",
        "a=https://u:p@x",
    ):
        with pytest.raises((ValueError, SettingsError)):
            ServerSettings.model_validate({"dicomweb_archives": wrong})
