"""Real server processes: a real tus client, and what is left when any process is killed with SIGKILL."""

import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tusclient.client import TusClient

from serving.core.options import ScoringOptions
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.settings import ServerSettings
from serving.slides.hashing import slide_sha256
from serving.slides.opening import open_slide
from serving.store.database import open_database
from serving.store.tables import deliveries
from tests.quick_models import write_quick_models
from tests.samples import noise, write_pyramid
from tests.server_process import ServerProcess, kill

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 tiles: three chunks."""
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    return write_pyramid(path, noise(9000, 8000), compression="jpeg", levels=4)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[ServerProcess]:
    """One for all tests: each leaves it running, and asks for a threshold of its own, which no earlier result answers."""
    process = ServerProcess(tmp_path_factory.mktemp("server"), models).start()
    yield process
    process.stop()


def wait_until_finished(server: ServerProcess, analysis: str) -> dict[str, Any]:
    address = f"/v1/analyses/{analysis}"
    server.wait_until(lambda: server.client.get(address).json()["state"] not in ("queued", "running"), 150)
    return dict(server.client.get(address).json())


def lasting(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in {"timing", "software"}}


def test_a_tus_client_uploads_and_goes_on_after_its_server_was_killed(server: ServerProcess, slide: Path) -> None:
    client = TusClient(f"http://127.0.0.1:{server.port}/v1/uploads")
    content = slide.read_bytes()
    first = client.uploader(
        file_stream=io.BytesIO(content),
        chunk_size=len(content) // 5,
        metadata={"filename": "slide.tif"},
        upload_checksum=True,
    )
    first.upload(stop_at=len(content) // 2)
    server.kill()
    server.start()
    second = client.uploader(file_stream=io.BytesIO(content), url=first.url, chunk_size=len(content) // 3)
    assert len(content) // 2 <= second.offset < len(content)
    second.upload()
    stored = server.client.get(f"/v1/slides/{slide_sha256(slide)}").json()
    assert (stored["name"], stored["size"]) == ("slide.tif", len(content))


def test_an_analysis_survives_the_death_of_every_process(server: ServerProcess, slide: Path, models: Path) -> None:
    with open_slide(slide) as opened:
        expected = lasting(
            score_slide(opened, load_detector(models), ScoringOptions(mpp=0.25)).report.model_dump(mode="json")
        )
    assert expected["counts"]["mitotic_figures"] > 0
    body = {"slide": "", "options": {"mpp": 0.25}}
    with slide.open("rb") as handle:
        body["slide"] = server.client.post("/v1/slides", files={"slide": ("slide.tif", handle)}).json()["id"]
    analysis = server.client.post("/v1/analyses", json=body).json()["id"]

    def at(tiles: int) -> None:
        address = f"/v1/analyses/{analysis}"
        server.wait_until(lambda: server.client.get(address).json()["progress"]["tiles_done"] >= tiles, 120)

    at(3)
    assert kill(server.decoders()[0])
    at(34)
    assert kill(server.workers()[0])
    at(50)
    server.kill()
    server.start()
    done = wait_until_finished(server, analysis)
    assert done["state"] == "succeeded", done
    assert lasting(server.client.get(done["links"]["report"]).json()) == expected


def test_cancelling_frees_the_worker_within_two_seconds(server: ServerProcess, slide: Path) -> None:
    with slide.open("rb") as handle:
        sha256 = server.client.post("/v1/slides", files={"slide": ("slide.tif", handle)}).json()["id"]
    whole, small = {"mpp": 0.25, "threshold": 0.32}, {"mpp": 0.25, "roi": "0,0,500,500"}
    first = server.client.post("/v1/analyses", json={"slide": sha256, "options": whole}).json()
    second = server.client.post("/v1/analyses", json={"slide": sha256, "options": small}).json()
    server.wait_until(lambda: server.client.get(first["links"]["self"]).json()["progress"]["tiles_done"] > 0, 60)
    assert server.client.delete(first["links"]["self"]).json()["state"] == "cancelled"
    server.wait_until(lambda: server.client.get(second["links"]["self"]).json()["state"] != "queued", 2)
    assert wait_until_finished(server, second["id"])["state"] == "succeeded"


def test_waiting_requests_do_not_hold_up_a_stop(server: ServerProcess, slide: Path) -> None:
    """A waiting score is told where its analysis goes on, a stream when to come back; no process is left."""
    with ThreadPoolExecutor(2) as pool, slide.open("rb") as handle:
        address = f"http://127.0.0.1:{server.port}"
        form = {"slide": ("slide.tif", handle)}
        waiting = pool.submit(httpx.post, f"{address}/v1/score?mpp=0.25&threshold=0.31", files=form, timeout=600)

        def scored() -> list[Any]:
            running: list[Any] = server.client.get("/v1/analyses?state=running").json()["analyses"]
            return running

        server.wait_until(lambda: scored() != [], 60)
        analysis = scored()[0]
        following = pool.submit(httpx.get, address + analysis["links"]["events"], timeout=600)
        server.wait_until(lambda: scored()[0]["progress"]["tiles_done"] > 0, 60)
        family = [*server.workers(), *server.decoders()]
        assert len(family) >= 2
        server.terminate()
        server.wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), 15)
        answer, stream = waiting.result(), following.result()
    assert (answer.status_code, answer.headers["location"]) == (503, analysis["links"]["self"])
    assert "retry-after" in answer.headers
    assert analysis["id"] in answer.json()["detail"]
    assert stream.text.endswith(": the server stops\nretry: 5000\n\n")
    server.start()
    assert wait_until_finished(server, analysis["id"])["state"] == "succeeded"


def has_delivered(server: ServerProcess, analysis: str) -> bool:
    return {one["state"] for one in server.client.get(f"/v1/analyses/{analysis}").json()["sent"]} == {"delivered"}


def test_results_that_wait_to_be_sent_outlive_the_server(tmp_path: Path, models: Path, slide: Path) -> None:
    target = tmp_path / "results"
    target.write_text("a file where the folder should be")
    process = ServerProcess(tmp_path, models, send_to=target, send_formats="report,geojson").start()
    try:
        with slide.open("rb") as handle:
            stored = process.client.post("/v1/slides", files={"slide": ("slide.tif", handle)}).json()["id"]
        ids = []
        for threshold in (0.31, 0.32, 0.33):
            options = {"mpp": 0.25, "roi": "0,0,900,900", "threshold": threshold}
            ids.append(process.client.post("/v1/analyses", json={"slide": stored, "options": options}).json()["id"])
            assert wait_until_finished(process, ids[-1])["state"] == "succeeded"
            process.kill()  # at once: before, while or after the first attempt failed
            process.start()
        target.unlink()
        database = open_database(ServerSettings(state=process.state))
        with database.writing() as tx:  # what was claimed by a server that died waits half an hour
            tx.execute(update(deliveries).values(next_at=time.time() - 1))
        database.close()
        wanted = {f"{one}/{name}" for one in ids for name in ("report.json", "detections.geojson")}
        process.wait_until(lambda: wanted <= {str(p.relative_to(target)) for p in target.glob("*/*")}, 120)
        for one in ids:
            process.wait_until(partial(has_delivered, process, one), 60)
            report = json.loads((target / one / "report.json").read_text())
            assert lasting(report) == lasting(process.client.get(f"/v1/analyses/{one}/report").json())
    finally:
        process.stop()
