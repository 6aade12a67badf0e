"""An exported graph at work, and the sub-tiles that its threshold is chosen on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.detections import Detections
from training.data.sub_tiles import SubTileTable, positives, read_sub_tile
from training.evaluation.subjects import highest

BATCH = 16


@dataclass(frozen=True, slots=True)
class ValidationData:
    """The sub-tiles that a run's threshold is chosen on, and its drift measured."""

    name: str
    table: SubTileTable
    root: Path

    def windows(self, count: int) -> NDArray[np.uint8]:
        """Up to `count` sub-tiles, half of them with a figure where there are so many, uint8, (N, 250, 250, 3)."""
        shown = positives(self.table, "centre")
        rng = np.random.default_rng(0)
        some, none = (rng.permutation(np.flatnonzero(of)) for of in (shown, ~shown))
        half = some[: count // 2]
        chosen = [*half, *none[: count - len(half)]]
        return np.stack([read_sub_tile(self.root, self.table, int(i)) for i in chosen])


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """An ONNX file at work."""

    session: onnxruntime.InferenceSession
    outputs: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> "OnnxGraph":
        """On a CPU."""
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return cls(session, tuple(o.name for o in session.get_outputs()))

    @property
    def detects(self) -> bool:
        """Whether it gives boxes."""
        return "boxes" in self.outputs

    def run(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.generic]]:
        """All outputs."""
        found: list[NDArray[np.generic]] = self.session.run(
            list(self.outputs), {self.session.get_inputs()[0].name: pixels}
        )
        return found

    def detect(self, windows: NDArray[np.uint8]) -> list[Detections]:
        """Boxes of a detector, see `Detector.detect`."""
        boxes, probabilities, counts = self.run(windows)
        return [
            Detections(np.asarray(b[:n], np.float32), np.asarray(p[:n], np.float32), np.zeros(n, np.float32))
            for b, p, n in zip(boxes, probabilities, counts, strict=True)
        ]

    def scores(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score of each window, float32, (N,)."""
        parts = []
        for start in range(0, len(windows), BATCH):
            batch = windows[start : start + BATCH]
            parts.append(highest(self.detect(batch)) if self.detects else np.asarray(self.run(batch)[0], np.float32))
        return np.concatenate([part.reshape(-1) for part in parts])
