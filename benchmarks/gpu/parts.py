"""The parts of the benchmark, each a method that gives what is written as JSON."""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.gpu.drift import drift, outputs, read_sample, read_tiles
from benchmarks.gpu.graphs import measure_on_device, measure_rate, measure_together, open_graph
from benchmarks.gpu.slides import write_tissue
from benchmarks.gpu.whole import describe_batches, read, score
from benchmarks.gpu.zero_cost_detector import ZeroCostDetector
from serving.core.geometry import Region
from serving.core.modelcard import ModelCard, load_card
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.scoring import batch_sizes, cuda_session
from serving.scoring.batch_sizes import choose_batch_sizes, cores
from serving.scoring.cuda_session import CUDA, HALF, CudaSession
from serving.scoring.gpus import gpus
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from serving.scoring.session import Session
from serving.scoring.tiling import TILE_PX
from serving.slides.opening import open_slide
from serving.synthetic.field import SyntheticTissue

BLOCK_PX = 2048
"""Side of the tissue that is drawn; it repeats."""
SUB_TILES = 64
"""Of a tile."""
REAL_TILES = 8
_EXACT = {"use_tf32": "0"}
"""Makes the CUDA provider compute in float32."""
_LAYOUTS: dict[str, dict[str, str]] = {"channels last": {"prefer_nhwc": "1"}, "channels first": {"prefer_nhwc": "0"}}
_CAPTURED = {"enable_cuda_graph": "1"}
_EVERY_ALGORITHM = {"cudnn_conv_algo_search": "EXHAUSTIVE"}
"""Not what serving does, since each size of batch would be prepared for seconds; measured to know what that costs."""


class Bench:
    """What the parts share. folder : where slides are written."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self._asked, self._folder = asked, folder
        if asked.pace:
            changed = dict(pair.split("=") for pair in asked.pace)
            batch_sizes.GPU = replace(batch_sizes.GPU, **{name: int(value) for name, value in changed.items()})
        self._provider: str = asked.provider
        self._models = newest_release(asked.models)
        self._on_gpu = self._provider in cuda_session.PROVIDERS
        self._decoders = Decoders(DecoderLimits())
        self._open: dict[tuple[str, str], Session] = {}

    def close(self) -> None:
        """End the decoders."""
        self._decoders.close()

    def machine(self) -> dict[str, Any]:
        """Where this runs."""
        found: dict[str, Any] = {
            "python": platform.python_version(),
            "cores": cores(),
            "load": os.getloadavg(),
            "providers": onnxruntime.get_available_providers(),
            "provider": self._provider,
            "pace": describe_batches(choose_batch_sizes(self._provider)),
        }
        if self._on_gpu:
            import pynvml  # noqa: PLC0415  # absent where there is no GPU

            pynvml.nvmlInit()
            gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
            found |= {
                "gpus": gpus(),
                "gpu": str(pynvml.nvmlDeviceGetName(gpu)),
                "driver": str(pynvml.nvmlSystemGetDriverVersion()),
                "gpu_memory_mib": pynvml.nvmlDeviceGetMemoryInfo(gpu).total >> 20,
            }
        print("  ", found, flush=True)
        return found

    def choice(self) -> dict[str, Any]:
        """The layout of tensors, Reg-NS on eight tiles; the faster is taken for all that follows."""
        if not self._on_gpu:
            return {"none": "there is nothing to choose on a processor"}
        found: dict[str, Any] = {}
        for name, options in _LAYOUTS.items():
            found[name] = self._try(lambda options=options: self._choice(options))  # type: ignore[misc]
            print("  ", name, found[name], flush=True)
        good = {name: row["per_s"] for name, row in found.items() if "per_s" in row}
        if good:
            found["taken"] = max(good, key=lambda name: good[name])
            cuda_session.HALF_OPTIONS.update(_LAYOUTS[found["taken"]])
            print("   taken:", found["taken"], flush=True)
        return found

    def search(self) -> dict[str, Any]:
        """What serving does not do: Reg-NS on eight tiles with every algorithm tried, and as a captured graph."""
        if not self._on_gpu:
            return {}
        tiles = self._tiles(8)
        rows = tiles.shape[1] // self._card("reg-ns").input.stride_px - 1

        def captured() -> dict[str, float]:
            session = CudaSession(self._models["reg-ns"] / "model.onnx", self._provider, options=_CAPTURED)
            return measure_on_device(session, tiles, per_input=SUB_TILES, shapes=[(8, rows, rows)])

        found = {
            "every algorithm tried": self._try(lambda: self._choice(_EVERY_ALGORITHM)),
            "captured graph, on the device": self._try(captured),
        }
        print("  ", found, flush=True)
        return found

    def _choice(self, options: dict[str, str]) -> dict[str, float]:
        session = open_graph(self._models["reg-ns"], self._provider, options)
        return measure_rate(session, self._tiles(8), per_input=SUB_TILES)

    def graph(self) -> list[dict[str, Any]]:
        """Reg-NS alone: one thread at every batch, and with the data on the GPU already."""
        session = self._session("reg-ns", self._provider)
        rows = []
        for batch in self._asked.batches:
            rows.append(self._try(lambda batch=batch: self._alone(session, batch)))  # type: ignore[misc]
            print("  ", rows[-1], flush=True)
        return rows

    def _alone(self, session: Session, batch: int) -> dict[str, float]:
        tiles = self._tiles(batch)
        row = {**measure_rate(session, tiles, per_input=SUB_TILES), "tiles": batch}
        if isinstance(session, CudaSession):
            row["on_device_per_s"] = measure_on_device(session, tiles, per_input=SUB_TILES)["per_s"]
        return row

    def det(self) -> list[dict[str, Any]]:
        """Det alone at several batches, from one thread and from as many as chunks are computed at once."""
        return self._windows("det", [16, 32, 64, 128] if self._on_gpu else [16])

    def verifier(self) -> list[dict[str, Any]]:
        """The verifier alone, likewise."""
        return self._windows("verifier", [32, 256] if self._on_gpu else [32])

    def triage(self) -> list[dict[str, Any]]:
        """Triage alone at every batch of tiles, cut to whole cells."""
        if "triage" not in self._models:
            return []
        session, cell = self._session("triage", self._provider), self._card("triage").input.stride_px
        rows = []
        for batch in self._asked.batches:
            side = TILE_PX // cell * cell
            tiles = np.ascontiguousarray(self._tiles(batch)[:, :side, :side])
            rows.append(self._try(lambda tiles=tiles: {**measure_rate(session, tiles), "tiles": len(tiles)}))  # type: ignore[misc]
            print("  ", rows[-1], flush=True)
        return rows

    def _windows(self, name: str, batches: list[int]) -> list[dict[str, Any]]:
        session, px = self._session(name, self._provider), self._card(name).input.window_px
        whole = self._tiles(1)[0]
        rows = []
        for batch in batches:
            corners = np.random.default_rng(1).integers(0, whole.shape[0] - px, (batch, 2))
            windows = np.stack([whole[y : y + px, x : x + px] for x, y in corners])
            rows.append(measure_rate(session, windows))
            if self._on_gpu:
                rows.append(measure_together(session, windows, threads=choose_batch_sizes(self._provider).chunks))
            print("  ", rows[-2:], flush=True)
        return rows

    def together(self) -> list[dict[str, Any]]:
        """Reg-NS from several threads at the batch that serving gives it."""
        session, rows = self._session("reg-ns", self._provider), []
        batch = choose_batch_sizes(self._provider).tiles if self._on_gpu else 1
        for threads in (1, 2, 4) if self._on_gpu else (2,):
            rows.append(measure_together(session, self._tiles(batch), threads=threads, per_input=SUB_TILES))
            print("  ", rows[-1], flush=True)
        return rows

    def tf32(self) -> list[dict[str, Any]]:
        """Reg-NS as it computes by default on a GPU: float32 with operands rounded to TF32."""
        if not self._on_gpu:
            return []
        session = self._session("reg-ns", CUDA)
        rows = [self._alone(session, batch) for batch in (1, 8, 16)]
        print("  ", rows, flush=True)
        return rows

    def drift(self) -> dict[str, Any]:
        """Half precision and TF32 against float32, on the models' own real windows and on those of real slides."""
        found: dict[str, Any] = {}
        for name, folder in self._models.items():
            given, published = read_sample(folder)
            sets = {"sample": given, **dict(self._real(name))}
            exact = self._session(name, CUDA, _EXACT) if self._on_gpu else self._session(name, self._provider)
            reference = {which: outputs(exact, windows) for which, windows in sets.items()}
            found[f"{name}, float32 here, published"] = drift(published, reference["sample"])
            for provider in (HALF, CUDA) if self._on_gpu else ():
                session = self._session(name, provider)
                for which, windows in sets.items():
                    row = drift(reference[which], outputs(session, windows))
                    found[f"{name}, {provider}, {which}"] = row
            print("  ", {key: row for key, row in found.items() if key.startswith(name)}, flush=True)
        return found

    def _real(self, name: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Windows of the real slides for one model."""
        px = self._card(name).input.window_px
        for path in self._asked.slide:
            tiles = read_tiles(path, self._card("reg-ns").input, count=REAL_TILES)
            if name == "reg-ns":
                yield path.name, tiles
            else:
                places = np.random.default_rng(1).integers(0, tiles.shape[1] - px, (16, 2))
                yield path.name, np.stack([tile[y : y + px, x : x + px] for tile in tiles for x, y in places])

    def reading(self) -> list[dict[str, Any]]:
        """The generated slide read by ever more threads."""
        most = choose_batch_sizes(self._provider).readers
        rows = []
        for readers in sorted({2, most // 2, most} - {0}):
            rows.append(read(self._slide, self._card("reg-ns").input, self._decoders, readers=readers, tiles=1000))
            print("  ", rows[-1], flush=True)
        return rows

    def instant(self) -> dict[str, Any]:
        """The whole slide where models answer at once: reading and all around the models."""
        reg_ns, det, verifier = (self._card(name) for name in ("reg-ns", "det", "verifier"))
        return self._score(ZeroCostDetector(reg_ns, det, verifier, self._provider))

    def whole_first(self) -> dict[str, Any]:
        """A slide of a fiftieth of the tiles: the GPU meets every shape, which takes its time once."""
        small = self._folder / "small.tif"
        write_tissue(small, tiles=max(self._asked.tiles // 30, 1), block=self._block)
        return self._score(self._detector, small)

    def whole(self) -> dict[str, Any]:
        """The generated slide from end to end."""
        return self._score(self._detector)

    def whole_fast(self) -> dict[str, Any]:
        """The same with triage before the cascade."""
        if "triage" not in self._models:
            return {}
        found = score(self._slide, self._detector, self._decoders, "fast")
        print("  ", found, flush=True)
        return found

    def whole_tf32(self) -> dict[str, Any]:
        """The same in TF32."""
        if not self._on_gpu:
            return {}
        return self._score(load_cascade(self._models, providers=[CUDA]))

    def _score(self, detector: Any, path: Path | None = None) -> dict[str, Any]:
        found = score(path or self._slide, detector, self._decoders)
        print("  ", found, flush=True)
        return found

    @cached_property
    def _detector(self) -> Any:
        started = time.perf_counter()
        detector = load_cascade(self._models, providers=[self._provider])
        print(f"   models loaded in {time.perf_counter() - started:.1f} s", flush=True)
        return detector

    @cached_property
    def _block(self) -> NDArray[np.uint8]:
        if self._asked.tissue is None:
            return SyntheticTissue(1, 30.0, 30.0).draw(Region(0, 0, BLOCK_PX, BLOCK_PX))
        with open_slide(self._asked.tissue) as slide:
            x, y = (side // 2 - BLOCK_PX // 2 for side in (slide.width, slide.height))
            return slide.read(Region(x, y, BLOCK_PX, BLOCK_PX), BLOCK_PX, BLOCK_PX)

    @cached_property
    def _slide(self) -> Path:
        started, path = time.perf_counter(), self._folder / "generated.tif"
        tiles = write_tissue(path, tiles=self._asked.tiles, block=self._block)
        megabytes = path.stat().st_size >> 20
        print(f"   slide of {tiles} tiles, {megabytes} MiB, in {time.perf_counter() - started:.1f} s", flush=True)
        return path

    def _tiles(self, count: int) -> NDArray[np.uint8]:
        side = TILE_PX + self._card("reg-ns").input.stride_px
        moved = [np.roll(self._block, 97 * i, axis=i % 2)[:side, :side] for i in range(count)]
        return np.stack(moved)

    def _card(self, name: str) -> ModelCard:
        return load_card(self._models[name])

    def _session(self, name: str, provider: str, options: dict[str, str] | None = None) -> Session:
        key = (name, f"{provider} {options}")
        if key not in self._open:
            self._open[key] = open_graph(self._models[name], provider, options)
        return self._open[key]

    @staticmethod
    def _try(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What it gives, or why it failed: one size that does not fit shall not end the others."""
        try:
            return measure()
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}"[:500]}
