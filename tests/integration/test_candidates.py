"""A candidate beside what serves: a real worker process with quick models, asked over HTTP."""

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.access.audit import AuditLog
from serving.api.app import create_app
from serving.core.options import ScoringOptions
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.jobs.shadows import ShadowRecord
from serving.jobs.table import JobTable, Submission
from serving.jobs.worker import Worker
from serving.jobs.worker_registry import WorkerRegistry
from serving.registry.releases import ReleaseStore
from serving.registry.shadows import ShadowStore
from serving.registry.version import VersionId
from serving.settings import ServerSettings
from serving.store.database import open_database
from serving.store.slides import SlideStore
from tests.clients import LocalClient
from tests.fakes import DotDetector, make_cards, tissue
from tests.limits import LONGEST_S
from tests.quick_models import write_quick_models
from tests.samples import write_pyramid
from tests.services import Blocking, WithCandidate, bring, field, kind, submit, until, wait_for_end

pytestmark = pytest.mark.integration

DRIFT = 2
"""Slides of a reference, and of what is compared with it."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    models = write_quick_models(tmp_path / "models")
    write_quick_models(models, "0.0.0", scale=200)  # Det looks at less of what is dark
    settings = ServerSettings(
        state=tmp_path / "state", models=models, providers=("CPUExecutionProvider",), model_window_s=LONGEST_S, min_free_bytes=0,
        drift_analyses=DRIFT, golden_set=golden(tmp_path / "golden"), gate_speed=1000,
    )  # fmt: skip
    with LocalClient(create_app(settings), raise_server_exceptions=False) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client


def golden(folder: Path) -> Path:
    """A slide whose one figure the candidate does not find: it is pale."""
    folder.mkdir()
    pixels = tissue(750, 500)
    pixels[125:375, 250:500] = (170, 60, 120)
    write_pyramid(folder / "a.tif", pixels)
    figure = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [375, 250]}}
    figure["properties"] = {"classification": {"name": "Mitosis"}}
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [figure]}))
    return folder


def picture(seed: int, *, stain: tuple[int, int, int] = (225, 170, 205)) -> bytes:
    """A field of two stains and dark squares."""
    rng = np.random.default_rng(seed)
    pixels = tissue(1000, 750)
    pixels[:] = stain
    mixed = rng.beta(0.5, 0.5, (94, 125, 1)).repeat(8, 0)[:750].repeat(8, 1)[:, :1000]
    pixels[:] = pixels * (1 - mixed) + np.asarray((110, 80, 165)) * mixed
    pixels[250:500, 250:500] = (40, 20, 90)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def shadow(client: LocalClient, number: int = 1) -> dict[str, Any]:
    return dict(client.get(f"/v1/registry/shadows/{number}").json())


def test_a_candidate_is_seen_before_it_counts(client: LocalClient, tmp_path: Path) -> None:
    assert kind(client.post("/v1/registry/shadows", json={"models": ["0.0.1"]})) == "model-conflict"
    assert kind(client.post("/v1/registry/shadows", json={"models": ["0.0.0"], "share": 0})) == "malformed-request"
    started = client.post("/v1/registry/shadows", json={"models": ["0.0.0"], "share": 1})
    assert (started.status_code, started.headers["location"]) == (201, "/v1/registry/shadows/1")
    nothing = client.get("/v1/registry/shadows/1/comparison").json()
    assert (nothing["slides"], nothing["first"]) == (0, [])

    slides = [bring(client, picture(seed), f"{seed}.png") for seed in range(DRIFT)]
    analyses = [wait_for_end(client, submit(client, slide)["id"]) for slide in slides]
    until(lambda: shadow(client)["analyses"]["succeeded"] == len(slides))
    assert (shadow(client)["faults"], shadow(client)["state"], shadow(client)["serves"]) == ([], "running", False)
    listed = client.get("/v1/analyses").json()["analyses"]
    assert {a["id"] for a in listed} == {a["id"] for a in analyses}
    exposed = client.get("/metrics").text
    assert 'mitoserve_analyses{state="succeeded"} 2.0' in exposed
    assert 'mitoserve_shadow_analyses{state="succeeded"} 2.0' in exposed

    report = client.get(analyses[0]["links"]["report"]).json()
    assert {model["version"] for model in report["models"]} == {"0.0.1"}
    compared = client.get("/v1/registry/shadows/1/comparison").json()
    assert (compared["first"], compared["second"]) == (["reg-ns@0.0.1", "det@0.0.1"], ["reg-ns@0.0.0", "det@0.0.0"])
    assert compared["slides"] == 2
    assert compared["figures"]["mean_first"] == report["counts"]["mitotic_figures"] > compared["figures"]["mean_second"]
    page = client.get("/v1/registry/shadows/1/comparison", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "/viewer/disagreements.html#shadow=1" in page.text
    assert "Research use only" in client.get("/viewer/disagreements.html").text

    places = client.get("/v1/registry/shadows/1/disagreements?limit=1").json()
    assert places["models"] == [compared["first"], compared["second"]]
    (place,) = places["places"]
    assert place["analysis"] == analyses[0]["id"]
    assert place["place"]["kind"] == "only first"
    x, y = (int(place["place"][axis]) for axis in "xy")
    assert client.get(f"/v1/slides/{place['slide']}/iiif/{x},{y},64,64/^128,128/0/default.jpg").status_code == 200
    assert client.get(places["next"]).json()["places"] != places["places"]
    assert client.get("/v1/registry/shadows/1/disagreements?kind=rose above").json()["places"] == []

    steady = client.get("/v1/registry/drift").json()
    assert steady["reference"]["source"] == "first 2 slides of this server"
    assert (steady["level"], steady["recent"]) == (None, 0)
    for seed in range(10, 10 + DRIFT):
        wait_for_end(client, submit(client, bring(client, picture(seed, stain=(225, 190, 150)), f"{seed}.png"))["id"])
    drift = client.get("/v1/registry/drift").json()
    levels = {m["name"]: m["level"] for m in drift["measures"]}
    assert (drift["level"], levels["eosin"]) == ("alarm", "alarm")
    assert 'mitoserve_drift_level{measure="eosin"} 2.0' in client.get("/metrics").text

    assert client.post("/v1/registry/shadows/1/stop").json()["state"] == "stopped"
    assert kind(client.post("/v1/registry/shadows/9/stop")) == "not-found"
    wanted = {"models": ["0.0.0"], "force": True}
    assert kind(client.post("/v1/registry/releases", json=wanted)) == "malformed-request"
    refused = client.post("/v1/registry/releases", json={"models": ["0.0.0"]}).headers["location"]
    until(lambda: client.get(refused).json()["state"] != "wanted")
    assert client.get(refused).json()["state"] == "refused"
    assert "its gates refuse reg-ns@0.0.0, det@0.0.0" in client.get(refused).json()["detail"]
    assert "F1 0 against" in client.get(refused).json()["detail"]
    forced = client.post("/v1/registry/releases", json={**wanted, "because": "the scanner was replaced"})
    assert (forced.status_code, forced.json()["because"]) == (202, "the scanner was replaced")
    database = open_database(ServerSettings(state=tmp_path / "state"))
    newest = list(AuditLog(database).records())[-1]
    database.close()
    until(lambda: client.get(forced.headers["location"]).json()["state"] == "promoted")
    assert newest.subject == f"{forced.json()['number']} forced: the scanner was replaced"


@dataclass(slots=True)
class Other(Blocking):
    """A candidate with cards of its own, which waits at its first tile until the test lets it go."""

    def __init__(self) -> None:
        Blocking.__init__(self)
        self.screening_card, self.detection_card = (
            card.model_copy(update={"version": "0.0.2"}) for card in make_cards()
        )


def test_a_candidate_lets_others_go_first_in_the_middle_of_a_slide(tmp_path: Path) -> None:
    settings = ServerSettings(state=tmp_path / "state")
    database, decoders, stop = open_database(settings), Decoders(DecoderLimits()), threading.Event()
    store = SlideStore(database, settings, decoders)
    jobs, record = JobTable(database, store), ShadowRecord(database, store.kept)
    ReleaseStore(database).pin((VersionId("reg-ns", "0.0.1", "a" * 64), VersionId("det", "0.0.1", "b" * 64)))
    number = ShadowStore(database).start((VersionId("reg-ns", "0.0.2", "c" * 64),), 1.0, "ann").number
    candidate = Other()
    worker = Worker("w", store, WorkerRegistry(database, "s"), WithCandidate(DotDetector, candidate, number), stop)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        first = submitted(store, jobs, tmp_path, seed=0)
        assert candidate.entered.wait(LONGEST_S)
        until(lambda: record.counts(number)["running"] == 1)
        second = submitted(store, jobs, tmp_path, seed=1)
        until(lambda: jobs.get(second, owner=None).state == "succeeded")
        assert not candidate.released.is_set(), "it did not wait for the candidate's tile"
        candidate.released.set()
        until(lambda: record.counts(number)["succeeded"] == 2)
        jobs_done = {name: jobs.get(name, owner=None) for name in (first, second)}
        assert all(job.result is not None for job in jobs_done.values())
        assert candidate.screened > 0
        kept = [pair for _, pair in record.pairs(number)]
        assert [pair.first.mitotic_figures == pair.second.mitotic_figures == pair.matched for pair in kept] == [
            True,
            True,
        ]
    finally:
        candidate.released.set()
        stop.set()
        thread.join()
        decoders.close()
        database.close()


def submitted(store: SlideStore, jobs: JobTable, tmp_path: Path, *, seed: int) -> str:
    folder = tmp_path / f"in-{seed}"
    folder.mkdir()
    (folder / "a.png").write_bytes(field(2000, 1000, seed=seed))
    slide = store.add(folder, "a.png", owner="ann", name=f"{seed}.png")
    return jobs.submit(Submission("ann", slide.sha256, ScoringOptions(mpp=0.25)), models_key=None)[0].id
