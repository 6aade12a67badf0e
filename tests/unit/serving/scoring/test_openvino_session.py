"""OpenVINO behind the same protocol: the numbers of ONNX Runtime, the same refusals, and a way to stop."""

import importlib.util
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from serving.core.errors import ModelError
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from serving.scoring.onnx_detector import OnnxDetector
from serving.scoring.openvino_session import OpenVinoSession, missing
from serving.scoring.pipeline import score_slide
from serving.settings import default_models
from serving.slides.arrayslide import ArraySlide
from tests.fields import draw_field
from tests.quick_models import write_quick_models

CPU = ["CPUExecutionProvider"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def exact(models: Path) -> OnnxDetector:
    return load_cascade(newest_release(models), providers=["OpenVINO"])


def test_results_are_those_of_onnx_runtime(models: Path, exact: OnnxDetector) -> None:
    tiles = draw_field(seed=3, width=500, height=375, mitoses_per_mm2=300).pixels[None]
    windows = np.stack([tiles[0, :250, :250], tiles[0, 125:, 250:]])
    reference = load_cascade(newest_release(models), providers=CPU)
    np.testing.assert_allclose(exact.screen(tiles), reference.screen(tiles), atol=1e-4)
    for a, b in zip(exact.detect(windows), reference.detect(windows), strict=True):
        np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-3)
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)
    assert (exact.provider, reference.provider) == ("OpenVINO", "CPUExecutionProvider")


def test_results_are_not_overwritten_by_the_next_call(exact: OnnxDetector) -> None:
    dark, light = np.full((1, 250, 250, 3), 20, np.uint8), np.full((1, 250, 250, 3), 240, np.uint8)
    first = exact.screen(dark)
    before = first.copy()
    exact.screen(light)
    np.testing.assert_array_equal(first, before)


def test_a_computation_can_be_stopped() -> None:
    session = OpenVinoSession(default_models() / "reg-ns" / "1.2.2" / "model.onnx", "OpenVINO")
    stop = onnxruntime.RunOptions()
    stop.terminate = True
    with pytest.raises(RuntimeError):
        session.run(["scores"], {"tiles": np.zeros((2, 1000, 1000, 3), np.uint8)}, stop)
    assert session.run(["scores"], {"tiles": np.zeros((1, 250, 250, 3), np.uint8)})[0].shape == (1, 1, 1)


def test_threads_share_a_graph(exact: OnnxDetector) -> None:
    tiles = [np.full((1, 250, 250, 3), value, np.uint8) for value in range(40, 240, 25)]
    alone = [float(exact.screen(tile)[0, 0, 0]) for tile in tiles]
    together = [0.0] * len(tiles)

    def ask(number: int) -> None:
        together[number] = float(exact.screen(tiles[number])[0, 0, 0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(tiles))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_cpu_without_bfloat16_and_a_missing_package_are_refused_with_what_to_do(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'mitoserve\[openvino\]'"):
        load_cascade(newest_release(models), providers=["OpenVINO-bf16"])


def test_a_rounded_result_has_an_identity_of_its_own(models: Path) -> None:
    if reason := missing("OpenVINO-bf16"):
        pytest.skip(reason)
    pixels = draw_field(seed=8, width=500, height=375, mitoses_per_mm2=300).pixels
    ids = [
        score_slide(
            ArraySlide(pixels, mpp=0.25, name="generated"), load_cascade(newest_release(models), providers=[name])
        ).report
        for name in ("CPUExecutionProvider", "OpenVINO", "OpenVINO-bf16")
    ]
    assert ids[0].analysis_id == ids[1].analysis_id != ids[2].analysis_id
    assert [report.software.execution_provider for report in ids][1:] == ["OpenVINO", "OpenVINO-bf16"]
