"""A real server process, from the checkout and from a built Bento, answers as the scoring does in this process.

The Bento brings the models that ship, which take seconds for a tile: its slide is a small one.
"""

import base64
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.settings import default_models
from serving.slides.opening import open_slide
from serving.synthetic.slide import generate_slide
from tests.e2e.processes import ROOT, serve
from tests.limits import LONGEST_S
from tests.quick_models import write_quick_models
from tests.samples import noise, write_mrxs

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
    with serve(tmp_path_factory.mktemp("checkout"), models=models) as client:
        yield client


def test_a_checkout_serves_what_scoring_gives(checkout: httpx.Client, slide: Path, models: Path) -> None:
    response = checkout.post("/v1/score", files={"slide": ("small.tif", slide.read_bytes())})
    assert response.status_code == 200, response.text
    assert _settle(response.text) == _score(slide, models)


@pytest.mark.parametrize("way", ["slides", "form", "score", "tus"])
def test_an_archive_of_an_mrxs_slide_shows_no_byte_and_no_path_of_the_machine(
    checkout: httpx.Client, tmp_path: Path, way: str
) -> None:
    """`Slidedat.ini` names a file of the machine as the slide's own, which the server's user may read."""
    secret = tmp_path / "secret.dat"
    secret.write_bytes(b"\x72\x6fot:secret-of-the-machine")
    names = (
        "../" * 20 + str(secret).lstrip("/"),
        str(secret),
        "../../../../../../etc/passwd",
        "a/../../" + "../" * 20 + "etc/shadow",
    )
    for stated in names if way == "slides" else names[:1]:
        for key in ("data", "index"):
            path = write_mrxs(tmp_path / "a.mrxs", noise(100, 80), **{key: stated})  # type: ignore[arg-type]
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                for file in (path, *sorted(path.with_suffix("").iterdir())):
                    archive.write(file, file.relative_to(tmp_path))
            answer = _bring(checkout, packed.getvalue(), way)
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), (
                answer.text
            )
            assert "names a file that is not in its own folder" in answer.json()["detail"]
            told = json.dumps(answer.json()) + str(answer.headers)
            for hint in ("secret", "passwd", "shadow", "root:", "0x72", "72 6f", str(tmp_path), "..", "Data0000"):
                assert hint not in told
    assert checkout.get("/v1/slides").json()["slides"] == []
    assert checkout.get("/livez").status_code == 200


def _bring(client: httpx.Client, content: bytes, way: str) -> httpx.Response:
    if way == "form":
        return client.post("/v1/slides", files={"slide": ("a.zip", content)})
    if way != "tus":
        return client.post(f"/v1/{way}?filename=a.zip", content=content)
    version = {"Tus-Resumable": "1.0.0"}
    name = base64.b64encode(b"a.zip").decode()
    stated = {"Upload-Length": str(len(content)), "Upload-Metadata": f"filename {name}"}
    begun = client.post("/v1/uploads", headers=version | stated)
    kind = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    return client.patch(begun.headers["location"], headers=version | kind, content=content)


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
    subprocess.run(build, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=LONGEST_S)
    with serve(tmp_path, target="mitoserve:latest", folder=tmp_path) as client:
        response = client.post("/v1/score", files={"slide": ("small.tif", slide.read_bytes())})
        assert response.status_code == 200, response.text
        assert _settle(response.text) == _score(slide, default_models())


def _score(slide: Path, models: Path) -> dict[str, object]:
    with open_slide(slide) as opened:
        report = score_slide(opened, load_detector(models)).report
    assert report.detections
    return _settle(report.model_dump_json())


def _settle(text: str) -> dict[str, object]:
    """A report without what differs from run to run."""
    return {key: value for key, value in json.loads(text).items() if key not in {"timing", "software"}}
