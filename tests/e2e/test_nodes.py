"""Two servers with disks of their own on one PostgreSQL and one object store: one is lost, one is cut off."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from serving.core.options import ScoringOptions
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.proxies import CutProxy
from tests.quick_models import write_quick_models
from tests.samples import noise, write_pyramid
from tests.server_process import ServerProcess, kill
from tests.services import events

pytestmark = pytest.mark.e2e

SIDE = 6000
"""36 tiles: two chunks, of which the first is kept when a server is lost."""
CHUNK = 32
SETTINGS: dict[str, Any] = {"providers": "CPUExecutionProvider", "model_window_s": 10}
PATIENCE_S = 200.0


@dataclass(frozen=True)
class Nodes:
    """The first reaches its database through the proxy."""

    first: ServerProcess
    second: ServerProcess
    proxy: CutProxy
    slides: tuple[Path, Path]
    models: Path

    def bring(self, number: int) -> str:
        with self.slides[number].open("rb") as handle:
            answer = self.first.client.post("/v1/slides", files={"slide": (self.slides[number].name, handle)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def submit(self, slide: str, threshold: float) -> str:
        options = {"mpp": 0.25, "threshold": threshold}
        answer = self.first.client.post("/v1/analyses", json={"slide": slide, "options": options})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def expected(self, number: int, threshold: float) -> dict[str, Any]:
        with open_slide(self.slides[number]) as opened:
            report = score_slide(
                opened, load_detector(self.models), ScoringOptions(mpp=0.25, threshold=threshold)
            ).report
        return lasting(report.model_dump(mode="json"))


@pytest.fixture
def nodes(tmp_path: Path, postgres: str, bucket: str) -> Iterator[Nodes]:
    models = write_quick_models(tmp_path / "models")
    first, second = (
        write_pyramid(tmp_path / f"slide-{seed}.tif", noise(SIDE, SIDE, seed=seed), compression="jpeg", levels=4)
        for seed in (5, 6)
    )
    url = make_url(postgres)
    name, folder = url.database, str(url.query["host"])
    with CutProxy(f"{folder}/.s.PGSQL.5432").running() as proxy:
        through = f"postgresql+psycopg://lab@127.0.0.1:{proxy.port}/{name}"
        servers = []
        for number, database in enumerate((through, postgres)):
            home = tmp_path / str(number)
            home.mkdir()
            servers.append(ServerProcess(home, models, database=database, objects=bucket, **SETTINGS))
        with_models = [threading.Thread(target=server.start) for server in servers]
        for thread in with_models:
            thread.start()
        for thread in with_models:
            thread.join()
        yield Nodes(servers[0], servers[1], proxy, (first, second), models)
        for server in servers:
            server.stop()


def lasting(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in {"timing", "software"}}


def test_an_analysis_outlives_its_server_and_one_without_its_database(nodes: Nodes) -> None:
    first, second = nodes.first, nodes.second
    slide = nodes.bring(0)
    # The second server takes over what a server runs that lost its database. The first verifies its slide before it writes a
    # result: without the database it cannot, so it writes none and gives the analysis back, which is no longer its own.
    for pid in second.workers():
        kill(pid)  # so the first begins; another worker is started within a second
    cut_off = nodes.submit(slide, 0.3)
    begin(first, cut_off)
    nodes.proxy.cut()
    assert first.client.get("/readyz").status_code == 503
    assert "database" in first.client.get("/readyz").json()["detail"]
    wait_for_end(second, cut_off)
    nodes.proxy.mend()
    first.wait_until(lambda: first.client.get("/readyz").status_code == 200, PATIENCE_S)
    first.wait_until(lambda: any(words in first.log.read_text() for words in ("has to wait", "taken over")), PATIENCE_S)
    check(nodes, second, cut_off, 0, 0.3)
    # kill -9 of a server and its worker after the first chunk: the other goes on behind it. Of the first slide all is known by now.
    other = nodes.bring(1)
    for pid in first.workers():
        kill(pid)  # so the second begins
    lost = nodes.submit(other, 0.5)
    begin(second, lost, tiles=CHUNK)
    workers = second.workers()
    second.kill()
    for pid in workers:
        kill(pid)
    wait_for_end(first, lost)
    seen = check(nodes, first, lost, 1, 0.5)
    again = seen[max(i for i, (kind, _) in enumerate(seen) if kind == "running") + 1]
    assert again[0] == "progress"
    assert again[1] >= CHUNK, "the chunk that was finished is not done again"


def begin(server: ServerProcess, analysis: str, *, tiles: int = 1) -> None:
    def far_enough() -> bool:
        shown = server.client.get(f"/v1/analyses/{analysis}").json()
        assert shown["state"] in ("queued", "running"), f"{shown['state']} before anything happened to it"
        return int(shown["progress"]["tiles_done"]) >= tiles

    server.wait_until(far_enough, PATIENCE_S)


def wait_for_end(server: ServerProcess, analysis: str) -> None:
    server.wait_until(
        lambda: server.client.get(f"/v1/analyses/{analysis}").json()["state"] not in ("queued", "running"), PATIENCE_S
    )


def check(nodes: Nodes, server: ServerProcess, analysis: str, number: int, threshold: float) -> list[tuple[str, int]]:
    """It succeeded once, began twice, and its result is that of an undisturbed run; gives (kind, tiles done)."""
    shown = server.client.get(f"/v1/analyses/{analysis}").json()
    assert shown["state"] == "succeeded", shown
    assert lasting(server.client.get(shown["links"]["report"]).json()) == nodes.expected(number, threshold)
    text = server.client.get(shown["links"]["events"]).text
    seen = [(kind, int(json.loads(data)["tiles_done"])) for _, kind, data in events(text)]
    kinds = [kind for kind, _ in seen]
    assert kinds.count("succeeded") == 1
    assert kinds.count("running") == 2
    return seen
