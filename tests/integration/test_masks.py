"""The mask of tissue and quality over HTTP: what the picture's numbers say, with and without quality control."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.clients import LocalClient
from tests.fakes import tissue
from tests.services import bring, kind, serving, submit, wait_for_end

CLASSES = ["background", "tissue", "pen", "bubble", "fold", "blur"]

pytestmark = pytest.mark.integration

WIDTH, HEIGHT, INKED, GLASS = 1500, 800, 300, 300


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state") as client:
        yield client


@pytest.fixture
def slide(client: LocalClient) -> str:
    """Ink on the left, glass on the right."""
    pixels = tissue(WIDTH, HEIGHT)
    pixels[:, :INKED] = (20, 120, 60)
    pixels[:, WIDTH - GLASS :] = 245
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return bring(client, buffer.getvalue(), "inked.png")


def _mask(client: LocalClient, slide: str, **options: object) -> tuple[dict[str, Any], NDArray[np.uint8], str]:
    analysis = str(submit(client, slide, options={"mpp": 0.25, **options})["id"])
    assert wait_for_end(client, analysis)["state"] == "succeeded"
    frame = client.get(f"/v1/analyses/{analysis}/mask").json()
    answer = client.get(frame["picture"])
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"]
    return frame, np.asarray(Image.open(io.BytesIO(answer.content))), analysis


def test_the_picture_says_what_is_where(client: LocalClient, slide: str) -> None:
    frame, picture, analysis = _mask(client, slide)
    assert frame["classes"] == CLASSES
    assert frame["quality"] is True
    assert picture.shape == (frame["rows"], frame["columns"])
    assert frame["columns"] * frame["step_x"] == pytest.approx(WIDTH)
    middle = frame["rows"] // 2
    for x, name in ((INKED // 2, "pen"), (WIDTH // 2, "tissue"), (WIDTH - GLASS // 2, "background")):
        assert CLASSES[picture[middle, int(x / frame["step_x"])]] == name
    areas = client.get(f"/v1/analyses/{analysis}/report").json()["quality"]["areas"]
    element = frame["step_x"] * frame["step_y"] * (0.25 / 1000) ** 2
    for area in areas:
        assert area["area_mm2"] == pytest.approx((picture == CLASSES.index(area["reason"])).sum() * element, abs=1e-4)


def test_without_quality_control_there_is_tissue_alone(client: LocalClient, slide: str) -> None:
    frame, picture, _ = _mask(client, slide, qc="off")
    assert frame["quality"] is False
    assert set(np.unique(picture)) == {0, 1}
    # The worker goes on after an analysis that measured no quality.
    assert _mask(client, slide, qc="off", min_tissue_fraction=0.5)[0]["quality"] is False


def test_what_was_not_analysed_is_background(client: LocalClient, slide: str) -> None:
    frame, picture, _ = _mask(client, slide, roi=f"0,0,{INKED},{HEIGHT}")
    assert not picture[:, int((INKED + 10) / frame["step_x"]) :].any()
    assert picture[:, : int((INKED - 10) / frame["step_x"])].all()


def test_wrong_settings_of_quality_and_unknown_analyses_are_refused(client: LocalClient, slide: str) -> None:
    body = {"slide": slide, "options": {"mpp": 0.25, "qc": "maybe"}}
    assert client.post("/v1/analyses", json=body).status_code == 400
    assert kind(client.get("/v1/analyses/none/mask")) == "not-found"
    assert kind(client.get("/v1/analyses/none/mask/picture")) == "not-found"
