"""What runs a graph, whichever library it is."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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
