"""What models' sessions give: asked in batches where a GPU computes, and checked before anything is made of it."""

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.scoring.batch_sizes import GPU_PROVIDERS, Outputs, run_in_batches
from serving.scoring.session import Session
from serving.scoring.sessions import label_model

_ROUNDING = 1e-3
"""Half precision rounds a sigmoid or a softmax past 1 by less than this."""


def compute(
    session: Session,
    names: Sequence[str],
    pictures: NDArray[np.uint8],
    *,
    provider: str,
    most: int,
    stop: onnxruntime.RunOptions,
    fed: str = "windows",
) -> Outputs:
    """The outputs of all pictures, by names.

    pictures : uint8, shape (N, ...). provider : what computes. most : pictures in a batch, where a GPU computes
    stop : ends the computation, which then raises. fed : the input's name
    """

    def run(batch: NDArray[np.uint8]) -> Outputs:
        return session.run(names, {fed: np.ascontiguousarray(batch)}, stop)

    return run_in_batches(pictures, run, most) if provider in GPU_PROVIDERS else run(pictures)


def check_finite(card: ModelCard, what: str, *found: NDArray[np.float32]) -> None:
    """Raise `ModelError` where a model gave numbers that are not finite. what : the numbers, for the message."""
    if not all(np.isfinite(values).all() for values in found):
        raise ModelError(f"{label_model(card)} gave {what} that are not finite")


def clip_probabilities(card: ModelCard, said: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities within 0 to 1; raises `ModelError` where they are further out than rounding takes them."""
    if not np.isfinite(said).all() or (said.size and (said.min() < -_ROUNDING or said.max() > 1 + _ROUNDING)):
        raise ModelError(f"{label_model(card)} gave probabilities that are not in 0 to 1")
    return np.asarray(said.clip(0, 1), np.float32)
