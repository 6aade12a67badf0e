"""The regions model on ONNX Runtime, or on what else stands behind the interface of a session."""

from dataclasses import dataclass, field

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.outputs import clip_probabilities, compute
from serving.scoring.session import Session
from serving.scoring.sessions import label_model


@dataclass(frozen=True, slots=True)
class OnnxSegmenter:
    """See `Segmenter`."""

    card: ModelCard
    provider: str
    _session: Session
    _run: onnxruntime.RunOptions = field(default_factory=onnxruntime.RunOptions)

    def segment(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        most = self.card.input.batch or choose_batch_sizes(self.provider).windows
        (said,) = compute(self._session, ["probabilities"], windows, provider=self.provider, most=most, stop=self._run)
        classes = self.card.tissue_classes or []
        if said.shape[1] != len(classes):
            raise ModelError(
                f"{label_model(self.card)} gave {said.shape[1]} planes, and its card states {len(classes)} tissue_classes"
            )
        return clip_probabilities(self.card, said)
