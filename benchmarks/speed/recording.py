"""What a detector was asked, so that the same can be asked again of data that is in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.passthrough_detector import PassthroughDetector
from serving.core.detections import Detections

KEPT = 4
"""Inputs that are kept of each kind and shape: what a net computes does not depend on the picture."""

Array = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `screen`, `detect` or `verify`, and the shape of its input."""

    kind: str
    shape: tuple[int, ...]


@dataclass(slots=True)
class RecordingDetector(PassthroughDetector):
    """Passes everything on to `detector` and writes down what."""

    calls: list[Call] = field(default_factory=list)
    samples: dict[Call, list[Array]] = field(default_factory=dict)

    def screen(self, tiles: Array) -> NDArray[np.float32]:
        """See `Detector`."""
        self._note("screen", tiles)
        return self.detector.screen(tiles)

    def detect(self, sub_tiles: Array) -> list[Detections]:
        """See `Detector`."""
        self._note("detect", sub_tiles)
        return self.detector.detect(sub_tiles)

    def verify(self, windows: Array) -> NDArray[np.float32]:
        """See `Detector`."""
        self._note("verify", windows)
        return self.detector.verify(windows)

    def replay(self) -> None:
        """Ask the detector the same calls in the same order, of the inputs that were kept."""
        ask: dict[str, Callable[[Array], Any]] = {
            "screen": self.detector.screen,
            "detect": self.detector.detect,
            "verify": self.detector.verify,
        }
        for turn, call in enumerate(self.calls):
            samples = self.samples[call]
            ask[call.kind](samples[turn % len(samples)])

    def _note(self, kind: str, inputs: Array) -> None:
        call = Call(kind, inputs.shape)
        self.calls.append(call)
        kept = self.samples.setdefault(call, [])
        if len(kept) < KEPT:
            kept.append(inputs.copy())
