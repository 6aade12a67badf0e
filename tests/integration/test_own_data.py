"""docs/own-data.md, command by command, on generated pictures: from a MIDOG++-style folder to a model that serves."""

import io
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from serving.cli import main as mitoserve
from serving.synthetic.field import generate_field
from tests.quick_models import write_quick_models
from tests.server_process import ServerProcess
from training.cli.group import main as training

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs/own-data.md").read_text()
SIDE_PX = 1000


def test_the_page_from_a_folder_to_a_served_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _midog_folder(tmp_path / "own")
    (overrides,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "own.toml").write_text(overrides)
    commands = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    of_training = [shlex.split(line)[3:] for line in commands if line.startswith("python -m training ")]
    of_server = [shlex.split(line)[1:] for line in commands if line.startswith("mitoserve ")]
    assert len(of_training) + len(of_server) == len(commands) == 12
    for words in of_training:
        monkeypatch.setattr(sys, "argv", ["training", *words])
        training()
    summary = json.loads((tmp_path / "judged" / "det" / "summary.json").read_text())
    assert summary["counts"]["figures"] > 0
    assert summary["detection"] is not None

    models = write_quick_models(tmp_path / "models", "0.0.1")
    server = ServerProcess(tmp_path, models, providers="CPUExecutionProvider").start()
    try:
        for name, value in {"STATE": server.state, "MODELS": models, "PROVIDERS": "CPUExecutionProvider"}.items():
            monkeypatch.setenv(f"MITOSIS_{name}", str(value))
        for words in of_server:
            result = CliRunner().invoke(mitoserve, words)
            assert result.exit_code == 0, result.output
        server.wait_until(lambda: _serve(server) == {("reg-ns", "0.1.0"), ("det", "0.1.0")}, 150)
        (tmp_path / "slide.png").write_bytes(_picture(99))
        slide = server.client.put("/v1/slides?filename=slide.png", content=(tmp_path / "slide.png").read_bytes())
        wanted = {"slide": slide.raise_for_status().json()["id"], "options": {"mpp": 0.25, "min_tissue_fraction": 0}}
        address = str(server.client.post("/v1/analyses", json=wanted).raise_for_status().headers["location"])
        server.wait_until(lambda: server.client.get(address).json()["state"] == "succeeded", 200)
        report = server.client.get(f"{address}/report").raise_for_status().json()
        assert {(m["name"], m["version"]) for m in report["models"]} == {("reg-ns", "0.1.0"), ("det", "0.1.0")}
    finally:
        server.stop()


def _serve(server: ServerProcess) -> set[tuple[str, str]]:
    return {(m["name"], m["version"]) for m in server.client.get("/v1/models").json()["models"]}


def _picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    field = generate_field(seed=seed, width=SIDE_PX // 2, height=SIDE_PX // 2, mitoses_per_mm2=120)
    Image.fromarray(field.pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _midog_folder(folder: Path) -> None:
    """Six cases as MIDOG++ has them: flat TIFFs, 50 px boxes of two corners, figures and look-alikes."""
    folder.mkdir()
    images, boxes = [], []
    for case in range(1, 7):
        field = generate_field(seed=case, width=SIDE_PX, height=SIDE_PX, mitoses_per_mm2=60, lookalikes_per_mm2=40)
        Image.fromarray(field.pixels).save(folder / f"{case:03d}.tiff", compression="jpeg", quality=95)
        images.append({"id": case, "file_name": f"{case:03d}.tiff", "width": SIDE_PX, "height": SIDE_PX})
        for category, found in ((1, field.mitotic_figures), (2, field.lookalikes)):
            for x1, y1, x2, y2 in np.asarray(found).reshape(-1, 4):
                x, y = round(float(x1 + x2) / 2), round(float(y1 + y2) / 2)
                boxes.append({"bbox": [x - 25, y - 25, x + 25, y + 25], "category_id": category, "image_id": case})
    categories = [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "hard negative"}]
    content = {"images": images, "categories": categories, "annotations": [{"id": n, **b} for n, b in enumerate(boxes)]}
    (folder / "MIDOG++.json").write_text(json.dumps(content))
