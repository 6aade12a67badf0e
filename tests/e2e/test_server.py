"""A real server process, from the checkout and from a built Bento, answers as the scoring does in this process.

The Bento brings the models that ship, which take seconds for a tile: its slide is a small one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.scoring.onnx_detector import load_detector
from serving.scoring.pipeline import score_slide
from serving.settings import default_models
from serving.synthetic.slide import generate_slide
from serving.wsi.slide import open_slide
from tests.e2e.processes import ROOT, served
from tests.quick_models import write_quick_models

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "small.tif"
    generate_slide(path, seed=1, width=320, height=300, tissue_fraction=1.0, mitoses_per_mm2=400)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def checkout(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(tmp_path_factory.mktemp("checkout"), models=models) as client:
        yield client


def test_a_checkout_serves_what_scoring_gives(checkout: httpx.Client, slide: Path, models: Path) -> None:
    response = checkout.post("/v1/score", files={"slide": ("small.tif", slide.read_bytes())})
    assert response.status_code == 200, response.text
    assert _settled(response.text) == _scored(slide, models)


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


def test_a_built_bento_gives_the_same_report(tmp_path: Path, slide: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "bentoml")}
    build = [sys.executable, "-m", "bentoml", "build"]
    subprocess.run(build, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=240)
    with served(tmp_path, target="mitoserve:latest", folder=tmp_path) as client:
        response = client.post("/v1/score", files={"slide": ("small.tif", slide.read_bytes())})
        assert response.status_code == 200, response.text
        assert _settled(response.text) == _scored(slide, default_models())


def _scored(slide: Path, models: Path) -> dict[str, object]:
    with open_slide(slide) as opened:
        report = score_slide(opened, load_detector(models)).report
    assert report.detections
    return _settled(report.model_dump_json())


def _settled(text: str) -> dict[str, object]:
    """A report without what differs from run to run."""
    return {key: value for key, value in json.loads(text).items() if key not in {"timing", "software"}}
