"""Models change on a real server while it works, and when they cannot, it goes on as before."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.hot_swap import hot_swap
from serving.core.modelcard import ModelCard
from tests.limits import LONGEST_S
from tests.quick_models import restate, write_quick_models
from tests.samples import noise, write_pyramid
from tests.server_process import ServerProcess, kill

pytestmark = pytest.mark.e2e


def test_analyses_in_flight_notice_nothing_and_reports_say_what_ran(tmp_path: Path) -> None:
    outcome = hot_swap(tmp_path, count=18, swaps=6)
    assert outcome.failed == ()
    assert outcome.untrue == ()
    assert outcome.succeeded == 18
    assert min(outcome.by_version["0.1"], outcome.by_version["0.2"]) >= 4, "both releases ran"
    assert outcome.memory_after < outcome.memory_before + 100 * 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    """One for both tests, on models in `folder`."""
    models = write_quick_models(folder / "models")
    process = ServerProcess(folder, models, providers="CPUExecutionProvider", model_window_s=LONGEST_S).start()
    yield process
    process.stop()


def settle(server: ServerProcess, answer: httpx.Response) -> dict[str, Any]:
    address = answer.raise_for_status().headers["location"]
    server.wait_until(lambda: server.client.get(address).json()["state"] != "wanted", 150)
    return dict(server.client.get(address).json())


def serving(server: ServerProcess) -> set[str]:
    return {card["version"] for card in server.client.get("/v1/models").json()["models"]}


def archive(folder: Path) -> bytes:
    return Path(shutil.make_archive(str(folder), "zip", folder)).read_bytes()


def test_what_may_not_serve_leaves_the_old_serving_and_says_why(server: ServerProcess, tmp_path: Path) -> None:
    client = server.client
    new = write_quick_models(tmp_path / "new", "0.2", scale=30)
    for name in ("reg-ns", "det"):
        added = client.post("/v1/registry/versions", content=archive(new / name / "0.2"))
        assert (added.status_code, added.json().get("version")) == (201, "0.2"), added.text
    again = client.post("/v1/registry/versions", content=archive(new / "det" / "0.2"))
    assert (again.status_code, again.json()["type"]) == (409, "urn:mitoserve:problem:model-conflict")
    checked = client.post("/v1/registry/versions/det/0.2/check").json()
    assert checked["parity"] == {"boxes": 0.0, "probabilities": 0.0}

    stored = server.state / "models" / "det" / "0.2" / "model.onnx"
    whole = stored.read_bytes()
    stored.write_bytes(whole[:-1] + b"?")
    refused = settle(server, client.post("/v1/registry/releases", json={"models": ["0.2"]}))
    assert refused["state"] == "refused"
    assert "SHA-256" in refused["detail"]
    assert serving(server) == {"0.0.1"}
    stored.write_bytes(whole)
    assert settle(server, client.post("/v1/registry/releases", json={"models": ["0.2"]}))["state"] == "promoted"
    assert serving(server) == {"0.2"}

    bad = write_quick_models(tmp_path / "new", "0.3") / "det" / "0.3"
    with np.load(bad / "parity.npz") as sample:
        np.savez(bad / "parity.npz", **{**sample, "probabilities": sample["probabilities"] / 2})
    restate(bad, ModelCard.model_validate_json((bad / "card.json").read_bytes()))
    unfit = client.post("/v1/registry/versions", content=archive(bad))
    assert (unfit.status_code, unfit.json()["type"]) == (422, "urn:mitoserve:problem:model-refused")
    assert "fails parity here" in unfit.json()["detail"]
    assert settle(server, client.post("/v1/registry/rollback"))["state"] == "promoted"
    assert serving(server) == {"0.0.1"}
    listed = client.get("/v1/registry/versions").json()["versions"]
    assert {(row["name"], row["version"]) for row in listed if row["serves"]} == {("det", "0.0.1"), ("reg-ns", "0.0.1")}
    assert client.post("/v1/registry/versions/det/0.2/retire").status_code == 204
    assert client.post("/v1/registry/releases", json={"models": ["0.2"]}).status_code == 409


def test_an_analysis_that_lost_its_worker_never_mixes_two_releases(
    server: ServerProcess, folder: Path, tmp_path: Path
) -> None:
    """It has finished chunks of the old release when its worker dies and another release was promoted."""
    client = server.client
    write_quick_models(folder / "models", "0.4", scale=30)
    path = write_pyramid(tmp_path / "slide.tif", noise(8000, 8000), compression="jpeg", levels=4)
    slide = client.put("/v1/slides?filename=slide.tif", content=path.read_bytes()).json()["id"]
    body: dict[str, Any] = {"slide": slide, "options": {"mpp": 0.25, "min_tissue_fraction": 0}}
    address = client.post("/v1/analyses", json=body).headers["location"]
    checkpoints = server.state / "checkpoints"
    server.wait_until(lambda: any(checkpoints.rglob("000000.npz")), 150)
    decoders = server.decoders()
    for decoder in decoders:
        os.kill(decoder, signal.SIGSTOP)  # so that it cannot end before the move
    promoted = client.post("/v1/registry/releases", json={"models": ["0.4"]})
    (worker,) = server.workers()
    server.wait_until(lambda: client.get(promoted.headers["location"]).json()["state"] == "promoted", 150)
    assert client.get(address).json()["state"] == "running", "it ends on what it began with, if its worker lives"
    for process in (worker, *decoders):
        kill(process)
    server.wait_until(lambda: client.get(address).json()["state"] == "succeeded", 300)
    broken_off = client.get(f"{address}/report").json()
    assert {model["version"] for model in broken_off["models"]} == {"0.4"}
    body["options"] = {
        "mpp": 0.25,
        "min_tissue_fraction": 0,
        "threshold": 0.3,
    }  # the card's, stated: not the same request
    undisturbed = client.post("/v1/analyses", json=body).headers["location"]
    server.wait_until(lambda: client.get(undisturbed).json()["state"] == "succeeded", 300)
    report = client.get(f"{undisturbed}/report").json()
    assert broken_off["tiles"] == report["tiles"]
    assert broken_off["detections"] == report["detections"]
