"""What runs a graph, whichever library it is and whatever number of windows the graph takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Session(Protocol):
    """The part of ONNX Runtime's session that serving uses."""

    def get_inputs(self) -> Sequence[Any]:
        """The graph's inputs, each with `name`, `type` and `shape`."""

    def get_outputs(self) -> Sequence[Any]:
        """The graph's outputs, likewise."""

    def get_providers(self) -> list[str]:
        """What computes, the first one first."""

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]], stop: Any = None) -> list[Any]:
        """The outputs named; raises when `stop.terminate` is set before the end."""


@dataclass(frozen=True, slots=True)
class FreeTensor:
    """An input or output whose first axis is free."""

    name: str
    type: str
    shape: list[Any]


class FixedBatchSession:
    """Runs a graph in batches of its own size, the last one filled up with blank windows whose outputs are dropped."""

    def __init__(self, session: Session, size: int) -> None:
        self._session, self._size = session, size

    def get_inputs(self) -> list[FreeTensor]:
        """See `Session.get_inputs`."""
        return [_free(tensor) for tensor in self._session.get_inputs()]

    def get_outputs(self) -> list[FreeTensor]:
        """See `Session.get_outputs`."""
        return [_free(tensor) for tensor in self._session.get_outputs()]

    def get_providers(self) -> list[str]:
        """See `Session.get_providers`."""
        return self._session.get_providers()

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]], stop: Any = None) -> list[Any]:
        """See `Session.run`; there is one input."""
        ((name, windows),) = feeds.items()
        parts = []
        for start in range(0, max(len(windows), 1), self._size):
            batch = windows[start : start + self._size]
            blank = np.zeros((self._size - len(batch), *windows.shape[1:]), windows.dtype)
            found = self._session.run(names, {name: np.concatenate([batch, blank])}, stop)
            parts.append([output[: len(batch)] for output in found])
        return [np.concatenate(output) for output in zip(*parts, strict=True)]


def free_batch(session: Session) -> Session:
    """The session, which takes any number of windows where its graph takes a fixed one."""
    first = session.get_inputs()[0].shape[:1]
    return FixedBatchSession(session, first[0]) if first and isinstance(first[0], int) and first[0] > 0 else session


def _free(tensor: Any) -> FreeTensor:
    return FreeTensor(tensor.name, tensor.type, [None, *tensor.shape[1:]])
