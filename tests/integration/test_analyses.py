"""Analyses as durable jobs: accepted, followed, cancelled, repeated, shared, told about."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.core.report import Report
from serving.exports import EXPORTS
from tests.clients import LocalClient
from tests.fakes import DotDetector
from tests.limits import LONGEST_S
from tests.services import DOTS, Blocking, bring, events, field, kind, serving, submit, until, wait_for_end

pytestmark = pytest.mark.integration


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state") as client:
        yield client


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    """A server of several tests, which change nothing."""
    with serving(tmp_path_factory.mktemp("standing") / "state") as client:
        yield client


@pytest.fixture(scope="module")
def report(standing: LocalClient) -> str:
    """Address of the report of an analysis that has succeeded."""
    return str(wait_for_end(standing, submit(standing, bring(standing, field()))["id"])["links"]["report"])


def test_an_analysis_gives_what_scoring_gives(client: LocalClient) -> None:
    content = field()
    scored = client.post("/v1/score?mpp=0.25", files={"slide": ("a.png", content)}).json()
    analysis = submit(client, bring(client, content))
    assert analysis["state"] == "succeeded"  # the result is known already
    report = client.get(analysis["links"]["report"]).json()
    for varying in ("timing", "software"):
        del scored[varying], report[varying]
    assert report == scored
    assert report["counts"]["mitotic_figures"] == len(DOTS)


def test_a_result_is_counted_again_as_the_query_asks(standing: LocalClient, report: str) -> None:
    kept = standing.get(report).json()
    again = standing.get(f"{report}?hotspot_shape=disc&hotspot_area=0.1&profile=none&hotspots=1").json()
    assert [h["shape"] for h in again["hotspots"]] == ["disc"]
    assert again["settings"]["counting"]["hotspot_area_mm2"] == 0.1
    assert again["counts"]["mitotic_figures"] == kept["counts"]["mitotic_figures"]
    assert again["analysis_id"] != kept["analysis_id"]
    assert standing.get(report).json() == kept
    for query in ("hotspot_area=-1", "hotspot_area=2&field_diameter=0.5", "profile=x", "hotspots=1&hotspots=2", "a=b"):
        assert kind(standing.get(f"{report}?{query}")) == "malformed-request", query


@pytest.mark.parametrize("export", [name for name, e in EXPORTS.items() if not e.needs_slide])
def test_accept_picks_the_format_of_the_result(standing: LocalClient, report: str, export: str) -> None:
    answer = standing.get(report, headers={"Accept": EXPORTS[export].media_type})
    assert answer.headers["content-type"].split(";")[0] == EXPORTS[export].media_type
    assert answer.content
    assert standing.get(report, headers={"Accept": "audio/ogg"}).status_code == 406


def test_a_result_has_an_address_for_each_format(standing: LocalClient, report: str) -> None:
    for export in EXPORTS.values():
        answer = standing.get(f"{report}.{export.suffix}")
        if export.needs_slide:
            assert kind(answer) == "not-exportable"
            assert "no DICOM slide" in answer.json()["detail"]
        else:
            assert answer.headers["content-type"].split(";")[0] == export.media_type
    features = standing.get(f"{report}.geojson?hotspots=0").json()["features"]
    assert {f["properties"]["objectType"] for f in features} == {"detection", "tile"}
    assert standing.get(f"{report}.docx").status_code == 404


def test_states_progress_and_the_end(client: LocalClient) -> None:
    analysis = submit(client, bring(client, field(2500, 2500)))
    done = wait_for_end(client, analysis["id"])
    assert (done["state"], done["progress"]["tiles_done"], done["progress"]["tiles_total"]) == ("succeeded", 9, 9)
    assert done["started_at"] >= done["created_at"]
    assert done["finished_at"] >= done["started_at"]
    kinds = [event for _, event, _ in events(client.get(done["links"]["events"]).text)]
    assert (kinds[0], kinds[1], kinds[-1]) == ("queued", "running", "succeeded")
    assert set(kinds[2:-1]) <= {"progress"}


def test_a_stream_goes_on_after_the_last_event_that_was_seen(client: LocalClient) -> None:
    analysis = submit(client, bring(client, field()))
    wait_for_end(client, analysis["id"])
    address = analysis["links"]["events"]
    whole = events(client.get(address).text)
    for seen in range(len(whole)):
        rest = client.get(address, headers={"Last-Event-ID": str(whole[seen][0])})
        assert rest.status_code == (200 if seen < len(whole) - 1 else 204)
        assert events(rest.text) == whole[seen + 1 :]
    assert kind(client.get(address, headers={"Last-Event-ID": "x"})) == "malformed-request"
    assert client.get("/v1/analyses/none/events").status_code == 404


def test_a_failed_analysis_says_why(client: LocalClient) -> None:
    sha256 = bring(client, field())
    failed = wait_for_end(client, submit(client, sha256, options={})["id"])
    assert (failed["state"], failed["problem"]) == ("failed", "urn:mitoserve:problem:missing-mpp")
    answer = client.get(failed["links"]["report"])
    assert (answer.status_code, kind(answer)) == (422, "missing-mpp")


def test_an_idempotency_key_gives_the_same_analysis(client: LocalClient) -> None:
    sha256 = bring(client, field())
    body = {"slide": sha256, "options": {"mpp": 0.25}}
    first, second = (client.post("/v1/analyses", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    other = client.post("/v1/analyses", json={**body, "priority": 3}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, kind(other)) == (422, "idempotency-conflict")
    assert submit(client, sha256)["id"] != first.json()["id"]


def test_wrong_requests_are_refused(client: LocalClient) -> None:
    sha256 = bring(client, field())
    cases = [
        ({"slide": "0" * 64}, "not-found"),
        ({"slide": sha256, "options": {"mpp": 7}}, "mpp-out-of-range"),
        ({"slide": sha256, "options": {"treshold": 1}}, "malformed-request"),
        ({"slide": sha256, "priority": 11}, "malformed-request"),
        ({"slide": sha256, "webhook": {"url": "http://169.254.169.254/latest"}}, "webhook-not-allowed"),
        ({}, "malformed-request"),
    ]
    for body, problem in cases:
        assert (body, kind(client.post("/v1/analyses", json=body))) == (body, problem)
    huge = client.post(
        "/v1/analyses", content=b'{"slide": "' + b"x" * 2**21, headers={"Content-Type": "application/json"}
    )
    assert (huge.status_code, kind(huge)) == (413, "body-too-large")
    assert client.get("/v1/analyses").json() == {"analyses": [], "next": None}


def test_a_running_analysis_is_cancelled_and_the_next_one_runs(tmp_path: Path) -> None:
    detector = Blocking()
    with serving(tmp_path / "state", lambda: detector) as client:
        sha256 = bring(client, field())
        running, waiting = submit(client, sha256), submit(client, sha256, options={"mpp": 0.25, "threshold": 0.1})
        assert detector.entered.wait(LONGEST_S)
        assert kind(client.get(running["links"]["report"])) == "not-finished"
        assert client.delete(running["links"]["self"]).json()["state"] == "cancelled"
        detector.released.set()
        assert wait_for_end(client, waiting["id"])["state"] == "succeeded"
        assert client.get(running["links"]["self"]).json()["state"] == "cancelled"
        assert events(client.get(running["links"]["events"]).text)[-1][1] == "cancelled"
        assert kind(client.get(running["links"]["report"])) == "not-finished"


def test_a_queued_analysis_is_cancelled_at_once_and_an_ended_one_removed(tmp_path: Path) -> None:
    detector = Blocking()
    with serving(tmp_path / "state", lambda: detector) as client:
        sha256 = bring(client, field())
        first, second = submit(client, sha256), submit(client, sha256, options={"mpp": 0.25, "threshold": 0.1})
        assert detector.entered.wait(LONGEST_S)
        assert client.delete(second["links"]["self"]).json()["state"] == "cancelled"
        detector.released.set()
        wait_for_end(client, first["id"])
        for ended, state in ((first, "succeeded"), (second, "cancelled")):  # whoever cancels too late deletes nothing
            answer = client.delete(ended["links"]["self"], params={"keep_ended": True})
            assert answer.json()["state"] == client.get(ended["links"]["self"]).json()["state"] == state
        assert client.delete(second["links"]["self"]).status_code == 204
        assert client.get(second["links"]["self"]).status_code == 404
        assert [a["id"] for a in client.get("/v1/analyses").json()["analyses"]] == [first["id"]]


def test_lists_have_filters_and_pages(client: LocalClient) -> None:
    slides = [bring(client, field(600, 500, dots=(), seed=n)) for n in range(2)]
    made = [submit(client, slides[n % 2], options={"mpp": 0.25, "threshold": n / 10})["id"] for n in range(5)]
    bad = submit(client, slides[0], options={})["id"]
    for analysis in (*made, bad):
        wait_for_end(client, analysis)
    seen, address = [], "/v1/analyses?limit=2"
    while address:
        page = client.get(address).json()
        seen += [a["id"] for a in page["analyses"]]
        address = page["next"]
    assert seen == [bad, *reversed(made)]
    assert [a["id"] for a in client.get("/v1/analyses?state=failed").json()["analyses"]] == [bad]
    assert len(client.get("/v1/analyses?state=failed&state=succeeded").json()["analyses"]) == 6
    of_one = client.get(f"/v1/analyses?slide={slides[1]}").json()["analyses"]
    assert [a["id"] for a in of_one] == [made[3], made[1]]
    assert kind(client.get("/v1/analyses?state=odd")) == "malformed-request"


def test_the_highest_priority_goes_first(tmp_path: Path) -> None:
    detector = Blocking()
    with serving(tmp_path / "state", lambda: detector) as client:
        sha256 = bring(client, field(600, 500))
        submit(client, sha256)
        assert detector.entered.wait(LONGEST_S)
        wanted = {p: submit(client, sha256, priority=p, options={"mpp": 0.25, "threshold": p / 9}) for p in (1, 5, 3)}
        detector.released.set()
        done = {p: wait_for_end(client, analysis["id"]) for p, analysis in wanted.items()}
        firsts = {p: events(client.get(a["links"]["events"]).text)[1][0] for p, a in done.items()}
        assert sorted(firsts, key=lambda p: firsts[p]) == [5, 3, 1]


def test_scoring_does_not_wait_where_the_client_prefers_so(client: LocalClient, tmp_path: Path) -> None:
    answer = client.post(
        "/v1/score?mpp=0.25", files={"slide": ("a.png", field())}, headers={"Prefer": "respond-async, wait=10"}
    )
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    done = wait_for_end(client, answer.headers["location"].rsplit("/", 1)[1])
    assert done["state"] == "succeeded"
    assert Report.model_validate_json(client.get(done["links"]["report"]).content).slide.name == "a.png"
    until(lambda: not list((tmp_path / "state" / "slides").iterdir()))


def test_analyses_outlive_their_server(tmp_path: Path) -> None:
    class Stuck(DotDetector):
        def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            entered.set()
            threading.Event().wait(0.3)
            return super().screen(tiles)

    entered = threading.Event()
    with serving(tmp_path / "state", Stuck) as client:
        sha256 = bring(client, field(2500, 2500))
        analysis = submit(client, sha256)
        waiting = submit(client, sha256, options={"mpp": 0.25, "threshold": 0.1})
        assert entered.wait(LONGEST_S)
    with serving(tmp_path / "state") as client:
        assert wait_for_end(client, analysis["id"])["state"] == "succeeded"
        assert wait_for_end(client, waiting["id"])["state"] == "succeeded"
        kinds = [event for _, event, _ in events(client.get(analysis["links"]["events"]).text)]
        assert kinds.count("running") == 2


def test_another_threshold_asks_the_models_nothing(tmp_path: Path) -> None:
    detector = DotDetector()
    with serving(tmp_path / "state", load=lambda: detector) as client:
        sha256 = bring(client, field())
        first = wait_for_end(client, submit(client, sha256)["id"])
        asked = (detector.screened, detector.detected)
        again = wait_for_end(client, submit(client, sha256, options={"mpp": 0.25, "threshold": 0.99})["id"])
        assert (detector.screened, detector.detected) == asked
        scores = [client.get(a["links"]["report"]).json()["tiles"][0]["scores"] for a in (first, again)]
        assert scores[0] == scores[1]


class Receiver(BaseHTTPRequestHandler):
    """Refuses the first message and takes the second."""

    got: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(500 if len(type(self).got) == 1 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_webhook_is_signed_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.jobs.webhooks.BACKOFF_S", (0.1, 0.1))
    monkeypatch.setattr("serving.jobs.webhooks._POLL_S", 0.05)
    Receiver.got, secret = [], "a secret of more than 24 characters"
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        with serving(tmp_path / "state", webhook_hosts=(host,), webhook_secret=secret) as client:
            analysis = submit(client, bring(client, field()), webhook={"url": f"http://{host}/told?by=me"})
            until(lambda: len(Receiver.got) == 2)
            refused = client.post("/v1/analyses", json={"slide": "x", "webhook": {"url": "http://127.0.0.1:1/"}})
            assert kind(refused) == "webhook-not-allowed"
        server.shutdown()
    (first, body), (again, same) = Receiver.got
    assert body == same
    assert first["webhook-id"] == again["webhook-id"]
    told = json.loads(body)
    assert (told["type"], told["data"]["id"]) == ("analysis.succeeded", analysis["id"])
    for headers in (first, again):
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"


def test_postgresql_keeps_analyses_too(tmp_path: Path, postgres: str) -> None:
    with serving(tmp_path / "state", database=postgres) as client:
        sha256 = bring(client, field(2500, 2500))
        done = wait_for_end(client, submit(client, sha256)["id"])
        assert (done["state"], done["progress"]["tiles_done"]) == ("succeeded", 9)
        kinds = [event for _, event, _ in events(client.get(done["links"]["events"]).text)]
        assert (kinds[0], kinds[1], kinds[-1]) == ("queued", "running", "succeeded")
        waiting = submit(client, sha256, options={"mpp": 0.25, "threshold": 0.9})
    with serving(tmp_path / "state", database=postgres) as client:
        assert wait_for_end(client, waiting["id"])["state"] == "succeeded"
        assert client.delete(f"/v1/slides/{sha256}").status_code == 204
    assert not (tmp_path / "state" / "mitoserve.sqlite").exists()
