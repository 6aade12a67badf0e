"""A real server process, from the checkout and from a built Bento, answers as the scoring does in this process."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from serving.scoring.onnx_detector import load_detector
from serving.scoring.pipeline import score_slide
from serving.settings import default_models
from serving.synthetic.slide import generate_slide
from serving.wsi.slide import open_slide

ROOT = Path(__file__).parents[2]
START_S = 120
"""Two BentoML processes and two models, on a busy machine."""

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "small.tif"
    generate_slide(path, seed=1, width=600, height=500, tissue_fraction=1.0, mitoses_per_mm2=150)
    return path


@pytest.fixture(scope="module")
def expected(slide: Path) -> dict[str, object]:
    with open_slide(slide) as opened:
        return _settled(score_slide(opened, load_detector(default_models())).report.model_dump_json())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with _served("serving.service:MitoserveService", ROOT, tmp_path_factory.mktemp("checkout")) as client:
        yield client


def test_a_checkout_serves_what_the_command_line_gives(
    checkout: httpx.Client, slide: Path, expected: dict[str, object]
) -> None:
    response = checkout.post("/v1/score", files={"slide": ("small.tif", slide.read_bytes())})
    assert response.status_code == 200, response.text
    assert _settled(response.text) == expected


def test_a_server_survives_bad_slides(checkout: httpx.Client, slide: Path) -> None:
    whole = slide.read_bytes()
    cases = {
        "text.svs": (b"hello", 415),
        "empty.svs": (b"", 400),
        "cut.svs": (whole[: len(whole) // 2], 422),
        "../../x.svs": (b"hello", 415),
    }
    for name, (content, status) in cases.items():
        response = checkout.post("/v1/score", files={"slide": (name, content)})
        assert (name, response.status_code) == (name, status)
        assert response.headers["content-type"] == "application/problem+json"
        assert checkout.get("/readyz").status_code == 200
    assert checkout.get("/nowhere").headers["content-type"] == "application/problem+json"


def test_a_built_bento_gives_the_same_report(tmp_path: Path, slide: Path, expected: dict[str, object]) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "bentoml")}
    build = [sys.executable, "-m", "bentoml", "build"]
    subprocess.run(build, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=240)
    with _served("mitoserve:latest", tmp_path, tmp_path) as client:
        response = client.post("/v1/score", files={"slide": ("small.tif", slide.read_bytes())})
        assert response.status_code == 200, response.text
        assert _settled(response.text) == expected


@contextmanager
def _served(target: str, folder: Path, scratch: Path) -> Iterator[httpx.Client]:
    """A client of a server that scores, whose output goes to a file; it ends with the context."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "BENTOML_HOME": str(scratch / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "MITOSIS_STATE": str(scratch / "state"),
    }
    log = scratch / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            _wait_until_ready(client, server, log)
            yield client
    finally:
        server.terminate()
        server.wait(60)


def _wait_until_ready(client: httpx.Client, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)  # polling a process that is starting; nothing announces its readiness
    raise AssertionError(f"the server did not become ready:\n{log.read_text()[-3000:]}")


def _settled(text: str) -> dict[str, object]:
    """A report without what differs from run to run."""
    return {key: value for key, value in json.loads(text).items() if key not in {"timing", "software"}}
