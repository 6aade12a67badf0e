"""The regions model on ONNX Runtime, or on what else stands behind the interface of a session."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.scoring.batch_sizes import GPU_PROVIDERS, choose_batch_sizes, run_in_batches
from serving.scoring.session import Session

_ROUNDING = 1e-3
"""Half precision rounds a softmax past 1 by less than this."""


@dataclass(frozen=True, slots=True)
class OnnxSegmenter:
    """See `Segmenter`."""

    card: ModelCard
    provider: str
    _session: Session
    _run: onnxruntime.RunOptions = field(default_factory=onnxruntime.RunOptions)

    def segment(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""

        def run(batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
            found: list[NDArray[Any]] = self._session.run(["probabilities"], {"windows": batch}, self._run)
            return found

        most = self.card.input.batch or choose_batch_sizes(self.provider).windows
        (said,) = run_in_batches(windows, run, most) if self.provider in GPU_PROVIDERS else run(windows)
        label, classes = f"model {self.card.name} {self.card.version}", self.card.tissue_classes or []
        if said.shape[1] != len(classes):
            raise ModelError(f"{label} gave {said.shape[1]} planes, and its card states {len(classes)} tissue_classes")
        if not np.isfinite(said).all() or said.min() < -_ROUNDING or said.max() > 1 + _ROUNDING:
            raise ModelError(f"{label} gave probabilities that are not in 0 to 1")
        return np.asarray(said.clip(0, 1), np.float32)
