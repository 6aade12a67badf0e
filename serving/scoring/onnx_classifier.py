"""The atypia model on ONNX Runtime, or on what else stands behind the interface of a session."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.scoring.batch_sizes import GPU_PROVIDERS, choose_batch_sizes, run_in_batches
from serving.scoring.session import Session


@dataclass(frozen=True, slots=True)
class OnnxClassifier:
    """See `Classifier`."""

    card: ModelCard
    provider: str
    _session: Session
    _run: onnxruntime.RunOptions = field(default_factory=onnxruntime.RunOptions)

    def classify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Classifier.classify`."""

        def run(batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
            found: list[NDArray[Any]] = self._session.run(["probabilities"], {"windows": batch}, self._run)
            return found

        most = choose_batch_sizes(self.provider).candidates
        (said,) = run_in_batches(windows, run, most) if self.provider in GPU_PROVIDERS else run(windows)
        if not np.isfinite(said).all() or (said.size and (said.min() < -_ROUNDING or said.max() > 1 + _ROUNDING)):
            raise ModelError(f"model {self.card.name} {self.card.version} gave probabilities that are not in 0 to 1")
        return np.asarray(said.clip(0, 1), np.float32)


_ROUNDING = 1e-3
"""Half precision rounds a sigmoid past 1 by less than this."""
