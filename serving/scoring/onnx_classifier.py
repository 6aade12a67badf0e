"""The atypia model on ONNX Runtime, or on what else stands behind the interface of a session."""

from dataclasses import dataclass, field

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.modelcard import ModelCard
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.outputs import clip_probabilities, compute
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
        most = choose_batch_sizes(self.provider).candidates
        (said,) = compute(self._session, ["probabilities"], windows, provider=self.provider, most=most, stop=self._run)
        return clip_probabilities(self.card, said)
