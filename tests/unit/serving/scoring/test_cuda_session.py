"""The GPU's session, with ONNX Runtime's processor in the GPU's place: what is given, in which batches, and what is refused."""

import ctypes
import importlib.util
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.scoring import batch_sizes, cuda_session, sessions
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.cuda_session import (
    CUDA,
    HALF,
    IN_FLIGHT,
    MOST_SHAPES,
    CudaMissingError,
    CudaSession,
    PageLocked,
)
from serving.scoring.gpus import SpreadSession
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from serving.scoring.onnx_detector import OnnxDetector
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fields import draw_field
from tests.limits import LONGEST_S
from tests.quick_models import write_quick_models

CPU = ["CPUExecutionProvider"]
Real = onnxruntime.InferenceSession


class Stand(Real):  # type: ignore[valid-type, misc]
    """Computes on the processor and says that it is a GPU."""

    asked: ClassVar[list[tuple[str, dict[str, str]]]] = []
    shapes: ClassVar[list[tuple[int, ...]]] = []

    def __init__(self, graph: Any, options: Any, providers: list[tuple[str, dict[str, str]]]) -> None:
        super().__init__(graph, options, providers=CPU)
        Stand.asked += providers

    def get_providers(self) -> list[str]:
        return [CUDA, *CPU]

    def run_with_iobinding(self, binding: Any, stop: Any = None) -> None:
        super().run_with_iobinding(binding, stop)
        Stand.shapes.append(tuple(binding.get_outputs()[0].shape()))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Stand]]:
    monkeypatch.setattr(Stand, "asked", [])
    monkeypatch.setattr(Stand, "shapes", [])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Stand)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, *CPU])
    monkeypatch.setattr(batch_sizes, "memory_bytes", lambda: batch_sizes.LARGE_BYTES)
    return Stand


@cache
def _tissue() -> NDArray[np.uint8]:
    return draw_field(seed=3, width=500, height=500, mitoses_per_mm2=300).pixels


def _windows(count: int) -> NDArray[np.uint8]:
    pixels = _tissue()
    places = np.random.default_rng(5).integers(0, 250, (count, 2))
    return np.stack([pixels[y : y + 250, x : x + 250] for x, y in places])


@pytest.mark.parametrize("provider", [HALF, CUDA])
def test_results_are_those_of_the_processor(models: Path, gpu: type[Stand], provider: str) -> None:
    detector = load_cascade(newest_release(models), providers=[provider])
    assert detector.provider == provider
    assert {name for name, _ in gpu.asked} == {CUDA}
    assert {options["device_id"] for _, options in gpu.asked} == {"0"}
    windows = _windows(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", Real)
        exact = load_cascade(newest_release(models), providers=CPU)
        scores = exact.screen(windows)
        found = exact.detect(windows)
    np.testing.assert_allclose(detector.screen(windows), scores, atol=5e-3)
    for a, b in zip(detector.detect(windows), found, strict=True):
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.3)
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=5e-3)


def test_det_sees_few_sizes_of_batch_and_blank_windows_leave_no_trace(models: Path, gpu: type[Stand]) -> None:
    detector = load_cascade(newest_release(models), providers=[CUDA])
    windows = _windows(choose_batch_sizes(CUDA).windows + 13)
    found = detector.detect(windows)
    assert [shape[0] for shape in gpu.shapes] == [choose_batch_sizes(CUDA).windows, 16]
    assert len(found) == len(windows)
    alone = detector.detect(windows[-1:])
    assert gpu.shapes[-1][0] == 16
    np.testing.assert_allclose(found[-1].boxes, alone[0].boxes, atol=1e-3)


def test_each_shape_has_a_session_of_its_own_and_old_ones_make_room(models: Path, gpu: type[Stand]) -> None:
    session = CudaSession(models / "reg-ns" / "0.0.1" / "model.onnx", CUDA)
    assert len(gpu.asked) == 1
    sides = [250 + 125 * more for more in range(MOST_SHAPES + 1)]
    tiles = [np.full((1, side, side, 3), 150, np.uint8) for side in sides]
    first = session.run(["scores"], {"tiles": tiles[0]})[0]
    for _ in range(2):
        for tile in tiles[:MOST_SHAPES]:
            session.run(["scores"], {"tiles": tile})
    assert len(gpu.asked) == MOST_SHAPES
    session.run(["scores"], {"tiles": tiles[-1]})
    np.testing.assert_array_equal(session.run(["scores"], {"tiles": tiles[0]})[0], first)
    assert len(gpu.asked) == MOST_SHAPES + 2


def test_threads_share_a_graph_and_do_not_share_memory(models: Path, gpu: type[Stand]) -> None:
    detector = load_cascade(newest_release(models), providers=[CUDA])
    tiles = [np.full((1, 250, 250, 3), value, np.uint8) for value in range(40, 240, 10)]
    assert len(tiles) > IN_FLIGHT
    alone = [float(detector.screen(tile)[0, 0, 0]) for tile in tiles]
    together = [0.0] * len(tiles)

    def ask(number: int) -> None:
        together[number] = float(detector.screen(tiles[number])[0, 0, 0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(tiles))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == pytest.approx(alone, abs=1e-5)


def test_results_are_not_overwritten_by_the_next_call(models: Path, gpu: type[Stand]) -> None:
    detector = load_cascade(newest_release(models), providers=[CUDA])
    first = detector.screen(np.full((1, 250, 250, 3), 20, np.uint8))
    before = first.copy()
    detector.screen(np.full((1, 250, 250, 3), 240, np.uint8))
    np.testing.assert_array_equal(first, before)


def test_a_stopped_copy_computes_no_more(models: Path, gpu: type[Stand]) -> None:
    copy, stop = load_cascade(newest_release(models), providers=[CUDA]).stoppable()
    assert copy.screen(_windows(1)).shape == (1, 1, 1)
    stop()
    with pytest.raises(Exception, match="terminate flag"):
        copy.screen(_windows(1))


def test_page_locked_memory_is_asked_of_cuda_once_a_size_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = _Cuda()
    monkeypatch.setattr(cuda_session, "cudart", lambda: cuda)
    staging = PageLocked()
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(staging.copy(array), array)
    np.testing.assert_array_equal(staging.copy(array[:1]), array[:1])
    assert (cuda.allocated, cuda.freed) == ([24], 0)
    staging.copy(np.zeros(100, np.uint8))
    assert (cuda.allocated, cuda.freed) == ([24, 100], 1)
    del staging
    assert cuda.freed == 2


def test_without_page_locked_memory_plain_memory_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = _Cuda(fails=True)
    monkeypatch.setattr(cuda_session, "cudart", lambda: cuda)
    array = np.arange(24, dtype=np.uint8)
    np.testing.assert_array_equal(PageLocked().copy(array), array)
    assert cuda.freed == 0


def test_a_machine_whose_cuda_does_not_load_is_refused_or_computes_on_its_processor(
    models: Path, gpu: type[Stand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stand, "get_providers", lambda self: CPU)
    with pytest.raises(CudaMissingError, match="driver"):
        CudaSession(next(models.glob("reg-ns/*/model.onnx")), CUDA)
    with pytest.raises(ModelError, match="CUDA does not load on this machine"):
        load_cascade(newest_release(models), providers=[HALF])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Real)
    monkeypatch.setattr(cuda_session, "CudaSession", None)
    assert load_cascade(newest_release(models), providers=[CUDA, *CPU]).provider == "CPUExecutionProvider"


def test_what_half_precision_needs_is_said(models: Path, gpu: type[Stand], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'mitoserve\[gpu\]'"):
        load_cascade(newest_release(models), providers=[HALF])
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: CPU)
    with pytest.raises(ModelError, match="pip install onnxruntime-gpu"):
        load_cascade(newest_release(models), providers=[HALF])


def test_a_slide_scored_in_chunks_by_several_threads_is_the_one_scored_tile_by_tile(
    models: Path, gpu: type[Stand]
) -> None:
    pixels = draw_field(seed=8, width=1500, height=1200, mitoses_per_mm2=300).pixels
    on_gpu = _score(pixels, load_cascade(newest_release(models), providers=[CUDA]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", Real)
        on_cpu = _score(pixels, load_cascade(newest_release(models), providers=CPU))
    assert on_gpu.analysis_id == on_cpu.analysis_id
    for a, b in zip(on_gpu.tiles, on_cpu.tiles, strict=True):
        assert (a.x, a.y, a.mitotic_count) == (b.x, b.y, b.mitotic_count)
        np.testing.assert_allclose(np.asarray(a.scores, float), np.asarray(b.scores, float), atol=1e-4)


def test_a_rounded_result_has_an_identity_of_its_own(models: Path, gpu: type[Stand]) -> None:
    pixels = draw_field(seed=8, width=500, height=375, mitoses_per_mm2=300).pixels
    half, tf32 = (_score(pixels, load_cascade(newest_release(models), providers=[name])) for name in (HALF, CUDA))
    assert half.analysis_id != tf32.analysis_id
    assert half.software.execution_provider == HALF


def test_several_gpus_share_the_batches_of_one_detector(
    models: Path, gpu: type[Stand], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = load_cascade(newest_release(models), providers=[CUDA])
    for module in (sessions, batch_sizes):
        monkeypatch.setattr(module, "gpus", lambda: 3)
    gpu.asked.clear()
    three = load_cascade(newest_release(models), providers=[CUDA])
    assert sorted(options["device_id"] for _, options in gpu.asked) == ["0", "0", "1", "1", "2", "2"]
    assert choose_batch_sizes(CUDA).chunks == 3 * batch_sizes.GPU.chunks
    np.testing.assert_array_equal(three.screen(_windows(4)), one.screen(_windows(4)))


def test_a_small_gpu_is_given_less_at_once(gpu: type[Stand], monkeypatch: pytest.MonkeyPatch) -> None:
    large = choose_batch_sizes(CUDA)
    monkeypatch.setattr(batch_sizes, "memory_bytes", lambda: batch_sizes.LARGE_BYTES - 1)
    small = choose_batch_sizes(CUDA)
    assert 8 * small.tiles * small.chunks <= large.tiles * large.chunks
    assert small.readers == large.readers


def test_a_run_goes_to_the_gpu_with_the_fewest_under_way() -> None:
    first, second = _Held(), _Held()
    spread = SpreadSession([first, second])
    threads = [threading.Thread(target=spread.run, args=([], {})) for _ in range(4)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while first.asked + second.asked < number:
            thread.join(0.001)
    assert (first.asked, second.asked) == (2, 2)
    first.go.set()
    second.go.set()
    for thread in threads:
        thread.join()
    assert spread.run([], {}) == []
    assert first.asked == 3


def _score(pixels: NDArray[np.uint8], detector: OnnxDetector) -> Any:
    return score_slide(ArraySlide(pixels, mpp=0.25, name="generated"), detector).report


class _Held:
    """A session whose runs end when they may."""

    def __init__(self) -> None:
        self.asked, self.go = 0, threading.Event()

    def get_inputs(self) -> list[Any]:
        return []

    def get_outputs(self) -> list[Any]:
        return []

    def get_providers(self) -> list[str]:
        return [CUDA]

    def run(self, names: Any, feeds: Any, stop: Any = None) -> list[Any]:
        self.asked += 1
        assert self.go.wait(LONGEST_S)
        return []


class _Cuda:
    """As much of libcudart as is used; what it gives is kept."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.allocated, self.freed = fails, list[int](), 0
        self._kept: list[Any] = []

    def cudaHostAlloc(self, address: Any, size: Any, flags: int) -> int:  # noqa: N802
        if self.fails:
            return 2
        self._kept.append(ctypes.create_string_buffer(size.value))
        address._obj.value = ctypes.addressof(self._kept[-1])
        self.allocated.append(size.value)
        return 0

    def cudaFreeHost(self, address: Any) -> int:  # noqa: N802
        self.freed += 1
        return 0
