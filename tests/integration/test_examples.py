"""Every program in `examples/` runs."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mitoserve import Report
from serving.synthetic.slide import generate_slide
from tests.fakes import tissue
from tests.quick_models import write_quick_models
from tests.server_process import ServerProcess
from tests.unit.serving.adoption.foreign import state_map, write_map

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.integration


def example(name: str) -> Callable[..., Report]:
    main: Callable[..., Report] = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
    return main


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    generate_slide(path, width=600, height=600, tissue_fraction=1.0)
    return path


def test_every_example_has_a_test() -> None:
    tested = {"score_one_slide", "score_on_server", "own_reader", "own_detector", "own_points_detector"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested


def test_score_one_slide(slide: Path, models: Path, tmp_path: Path) -> None:
    report = example("score_one_slide")(slide, tmp_path / "out", models)
    assert report.slide.name == "slide.tif"
    assert (tmp_path / "out" / "detections.geojson").is_file()


def test_score_on_server(slide: Path, models: Path, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, models)
    server.start()
    try:
        report = example("score_on_server")(f"http://127.0.0.1:{server.port}", slide, tmp_path / "map.png")
    finally:
        server.stop()
    assert report.slide.width == 600
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width > 100


def test_own_reader(models: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "field.npy", tissue(400, 300))
    report = example("own_reader")(tmp_path / "field.npy", 0.25, models)
    assert (report.slide.vendor, report.slide.width, report.slide.height) == ("numpy", 400, 300)


def test_own_detector(models: Path, tmp_path: Path) -> None:
    pixels: Any = tissue(500, 500)
    pixels[240:256, 200:220] = (60, 20, 70)
    Image.fromarray(pixels).save(tmp_path / "field.png", dpi=(101600, 101600))
    report = example("own_detector")(tmp_path / "field.png", models)
    assert report.counts.mitotic_figures == 1
    assert [model.version for model in report.models] == ["0.0.0", "0.0.0"]


def test_own_points_detector(slide: Path, tmp_path: Path) -> None:
    report = example("own_points_detector")(write_map(tmp_path / "net.onnx"), slide, state_map())
    assert [model.name for model in report.models] == ["points"]
    assert report.settings.map_shows == "highest probabilities"
