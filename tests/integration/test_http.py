"""The HTTP app in this process: formats, options, every kind of error, the line in front of the models."""

import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openapi_spec_validator
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from serving.api.app import create_app
from serving.core.errors import ModelError
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.settings import ServerSettings
from tests.clients import LocalClient
from tests.fakes import DotDetector, plant, tissue
from tests.limits import LONGEST_S
from tests.samples import write_pyramid, write_tiff_header, write_truncated

pytestmark = pytest.mark.integration

PROBLEM = "application/problem+json"
DOTS = ((300, 300), (700, 500))


class Blocking(DotDetector):
    """Waits at its first tile until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.entered.set()
        assert self.released.wait(LONGEST_S)
        return super().screen(tiles)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "state"


@pytest.fixture(scope="module")
def standing(state: Path) -> Iterator[LocalClient]:
    settings = ServerSettings(state=state, max_upload_bytes=5_000_000)
    with LocalClient(create_app(settings, load=DotDetector), raise_server_exceptions=False) as client:
        _until_ready(client)
        yield client


@pytest.fixture
def client(standing: LocalClient, state: Path) -> Iterator[LocalClient]:
    """The server of all tests, in which each must leave no slide behind."""
    yield standing
    assert standing.get("/readyz").status_code == 200
    assert list((state / "incoming").glob("server-*/*")) == []
    assert list((state / "slides").iterdir()) == []


@pytest.fixture(scope="module")
def picture() -> bytes:
    pixels = tissue(1000, 800)
    for x, y in DOTS:
        plant(pixels, x, y)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _until_ready(client: LocalClient) -> None:
    for _ in range(1000):
        if client.get("/readyz").status_code == 200:
            return
        threading.Event().wait(0.01)
    raise AssertionError("the app did not become ready")


def post(client: LocalClient, content: bytes, name: str = "a.png", **query: object) -> "Answer":
    parameters = {key: str(value) for key, value in {"mpp": 0.25, **query}.items() if value is not None}
    response = client.post("/v1/score", params=parameters, files={"slide": (name, content)})
    return Answer(response.status_code, response.headers["content-type"], response.content)


class Answer:
    """Status, media type and body."""

    def __init__(self, status: int, kind: str, body: bytes) -> None:
        self.status, self.kind, self.body = status, kind, body

    @property
    def problem(self) -> str:
        """Kind of a problem document, after its form was checked."""
        assert self.kind == PROBLEM, self.body
        document = json.loads(self.body)
        assert document["status"] == self.status
        assert document["title"]
        assert document["detail"]
        return str(document["type"]).removeprefix("urn:mitoserve:problem:")


def test_a_form_gives_a_report(client: LocalClient, picture: bytes) -> None:
    answer = post(client, picture)
    assert answer.status == 200, answer.body
    report = Report.model_validate_json(answer.body)
    assert report.slide.name == "a.png"
    centres = sorted((d.x + d.width / 2, d.y + d.height / 2) for d in report.detections)
    np.testing.assert_allclose(centres, DOTS, atol=1)


def test_a_raw_body_gives_the_same_report(client: LocalClient, picture: bytes) -> None:
    raw = client.post("/v1/score?mpp=0.25&filename=a.png", content=picture)
    named = client.post(
        "/v1/score?mpp=0.25", content=picture, headers={"Content-Disposition": 'attachment; filename="a.png"'}
    )
    first = _settle(post(client, picture).body)
    assert _settle(raw.content) == _settle(named.content) == first


@pytest.mark.parametrize("export", [name for name, e in EXPORTS.items() if not e.needs_slide])
def test_accept_picks_the_format(client: LocalClient, picture: bytes, export: str) -> None:
    kind = EXPORTS[export].media_type
    response = client.post("/v1/score?mpp=0.25", files={"slide": ("a.png", picture)}, headers={"Accept": kind})
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == kind
    assert response.content


def test_options_reach_the_scoring(client: LocalClient, picture: bytes) -> None:
    report = Report.model_validate_json(post(client, picture, roi="200,200,200,200", cascade="off").body)
    assert report.counts.mitotic_figures == 1
    assert report.settings.cascade is False
    assert report.slide.mpp_source == "override"


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ({"mpp": None}, 422, "missing-mpp"),
        ({"mpp": 3}, 422, "mpp-out-of-range"),
        ({"mpp": "nan"}, 400, "malformed-request"),
        ({"roi": "5000,5000,10,10"}, 422, "roi-outside-slide"),
        ({"roi": "1,2"}, 400, "malformed-request"),
        ({"threshold": 2}, 400, "malformed-request"),
        ({"cascade": "maybe"}, 400, "malformed-request"),
        ({"treshold": 0.5}, 400, "malformed-request"),
    ],
)
def test_wrong_options(
    client: LocalClient, picture: bytes, query: dict[str, object], status: int, problem: str
) -> None:
    answer = post(client, picture, "a.png", **query)
    assert (answer.status, answer.problem) == (status, problem)


def test_bad_slides(client: LocalClient, tmp_path: Path) -> None:
    write_pyramid(tmp_path / "whole.tif", tissue(600, 500))
    write_truncated(tmp_path / "cut.tif", tmp_path / "whole.tif")
    write_tiff_header(tmp_path / "header.tif", width=100_000, height=100_000)
    tifffile.imwrite(tmp_path / "ten.tif", tissue(10, 10))
    cases = {
        "empty.svs": (b"", 400, "empty-upload"),
        "text.svs": (b"not a slide at all", 415, "unsupported-format"),
        "cut.svs": ((tmp_path / "cut.tif").read_bytes(), 422, "unreadable-slide"),
        "header.svs": ((tmp_path / "header.tif").read_bytes(), 422, "unreadable-slide"),
        "ten.svs": ((tmp_path / "ten.tif").read_bytes(), 415, "unsupported-format"),
        "broken.png": (b"\x89PNG\r\n\x1a\n" + b"x" * 50, 422, "unreadable-slide"),
        "large.svs": (b"II*\0" + bytes(5_000_001), 413, "slide-too-large"),
        "alone.mrxs": (b"\xff\xd8\xff" + bytes(10), 415, "unsupported-format"),
    }
    for name, (content, status, problem) in cases.items():
        answer = post(client, content, name)
        assert (name, answer.status, answer.problem) == (name, status, problem)
        assert client.get("/readyz").status_code == 200
        assert str(tmp_path) not in answer.body.decode()


def test_a_path_like_name_is_only_a_name(client: LocalClient, picture: bytes, state: Path) -> None:
    answer = post(client, picture, "../../x.png")
    assert answer.status == 200
    assert Report.model_validate_json(answer.body).slide.name == "x.png"
    assert not (state.parent / "x.png").exists()


def test_malformed_requests(client: LocalClient, picture: bytes) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=cut"}
    answers = [
        client.post("/v1/score?mpp=0.25"),
        client.post("/v1/score?mpp=0.25", content=picture),
        client.post("/v1/score?mpp=0.25", files={"picture": ("a.png", picture)}),
        client.post("/v1/score?mpp=0.25", content=b"--cut\r\nbroken", headers=form),
        client.post("/v1/score?mpp=0.25&mpp=0.5", files={"slide": ("a.png", picture)}),
    ]
    for response in answers:
        answer = Answer(response.status_code, response.headers["content-type"], response.content)
        assert (answer.status, answer.problem) == (400, "malformed-request")


def test_unknown_addresses_methods_and_formats(client: LocalClient, picture: bytes) -> None:
    responses = {
        404: client.get("/nowhere"),
        405: client.get("/v1/score"),
        406: client.post("/v1/score?mpp=0.25", files={"slide": ("a.png", picture)}, headers={"Accept": "audio/ogg"}),
    }
    for status, response in responses.items():
        assert response.status_code == status
        assert response.headers["content-type"] == PROBLEM
    assert client.get("/v1/models/nothing").status_code == 404


def test_the_server_says_what_it_is(client: LocalClient) -> None:
    assert [card["name"] for card in client.get("/v1/models").json()["models"]] == ["reg-ns", "det"]
    assert client.get("/v1/models/det").json()["name"] == "det"
    assert client.get("/livez").status_code == 200
    assert "Mitoserve" in client.get("/").text
    assert client.get("/v1/schema/report").json()["title"] == "Report"


def test_metrics_count_analyses_and_errors(client: LocalClient, picture: bytes) -> None:
    def figures() -> dict[str, float]:
        lines = (line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
        return {name: float(value) for name, value in lines}

    before = figures()
    post(client, picture, threshold=0.4)
    post(client, b"text", "a.svs")
    after = figures()
    for name in (
        'mitoserve_answers_total{format="report"}',
        'mitoserve_analyses{state="succeeded"}',
        'mitoserve_errors_total{kind="unsupported-format"}',
    ):
        assert after[name] == before.get(name, 0) + 1, name


def test_one_document_holds_every_route(client: LocalClient) -> None:
    document = client.get("/openapi.json").json()
    routes = {"/", "/livez", "/readyz", "/metrics", "/v1/models", "/v1/models/{name}", "/v1/schema/report", "/v1/score"}
    routes |= {"/v1/slides", "/v1/slides/{slide_id}", "/v1/slides/{slide_id}/thumbnail"}
    routes |= {"/v1/uploads", "/v1/uploads/{upload_id}", "/v1/analyses", "/v1/analyses/{analysis_id}"}
    routes |= {"/v1/analyses/{analysis_id}/events", "/v1/analyses/{analysis_id}/report"}
    routes |= {"/v1/slides/{slide_id}/deepzoom.dzi", "/v1/slides/{slide_id}/iiif/info.json"}
    assert routes <= set(document["paths"])
    openapi_spec_validator.validate(document)
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}
    assert references
    for reference in references:
        node = document
        for key in reference.split("/"):
            node = node[key]
    score = document["paths"]["/v1/score"]["post"]
    assert {"400", "413", "415", "422", "503"} <= set(score["responses"])
    assert {p["name"] for p in score["parameters"]} >= {"mpp", "roi", "threshold", "cascade"}
    assert set(score["requestBody"]["content"]) == {"multipart/form-data", "application/octet-stream"}


def test_a_full_server_refuses_and_recovers(tmp_path: Path, picture: bytes) -> None:
    detector = Blocking()
    settings = ServerSettings(state=tmp_path, max_running=1, max_waiting=0)
    with LocalClient(create_app(settings, load=lambda: detector)) as client, ThreadPoolExecutor(1) as pool:
        _until_ready(client)
        first = pool.submit(post, client, picture)
        assert detector.entered.wait(LONGEST_S)
        refused = client.post("/v1/score?mpp=0.25", files={"slide": ("a.png", picture)})
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:mitoserve:problem:busy"
        assert int(refused.headers["retry-after"]) > 0
        detector.released.set()
        assert first.result(LONGEST_S).status == 200
        assert post(client, picture).status == 200


def test_models_that_do_not_load_are_a_503_that_says_why(tmp_path: Path, picture: bytes) -> None:
    def load() -> DotDetector:
        raise ModelError("no model 'reg-ns' in /models")

    with LocalClient(create_app(ServerSettings(state=tmp_path), load=load)) as client:
        for response in (client.get("/readyz"), client.post("/v1/score", files={"slide": ("a.png", picture)})):
            assert response.status_code == 503
            assert response.headers["content-type"] == PROBLEM
        assert client.get("/livez").status_code == 200


def test_a_failure_inside_is_a_500_and_the_server_lives(tmp_path: Path, picture: bytes) -> None:
    class Failing(DotDetector):
        def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            raise RuntimeError(f"secret {tiles.shape}")

    app = create_app(ServerSettings(state=tmp_path), load=Failing)
    with LocalClient(app, raise_server_exceptions=False) as client:
        _until_ready(client)
        answer = post(client, picture)
        assert (answer.status, answer.problem) == (500, "internal-error")
        assert b"secret" not in answer.body
        assert client.get("/readyz").status_code == 200


def _settle(body: bytes) -> dict[str, object]:
    """A report without what differs from run to run."""
    report: dict[str, object] = json.loads(body)
    return {key: value for key, value in report.items() if key not in {"timing", "software"}}
