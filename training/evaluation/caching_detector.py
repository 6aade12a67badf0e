"""A detector that remembers its answers, so that one cascade is judged in several ways for the time of one."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.scoring.detector import Detector

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class CachingDetector:
    """A detector that computes once what it is asked again.

    It is asked by another screening threshold, with and without the verifier, or with another share of Det's word.
    """

    detector: Detector
    screening_card: ModelCard
    verification_card: ModelCard | None
    _screened: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)
    _detected: dict[bytes, Detections] = field(default_factory=dict)
    _verified: dict[bytes, np.float32] = field(default_factory=dict)

    @classmethod
    def from_detector(cls, detector: Detector) -> "CachingDetector":
        """With the detector's own cards."""
        return cls(detector, detector.screening_card, detector.verification_card)

    def at(self, screening: float, *, verified: bool) -> "CachingDetector":
        """The same memory behind another screening threshold, with or without the verifier."""
        chosen = self.detector.screening_card.screening_threshold
        if chosen is None:
            raise ModelError("the card of a screening model states no threshold")
        card = self.screening_card.model_copy(
            update={"screening_threshold": chosen.model_copy(update={"score": screening})}
        )
        return replace(
            self, screening_card=card, verification_card=self.detector.verification_card if verified else None
        )

    def with_share(self, share: float) -> "CachingDetector":
        """The same memory with another weight of Det's word beside the verifier's, see `ModelCard.detector_share`."""
        if self.verification_card is None:
            raise ModelError("without a verifier there is no word beside Det's")
        return replace(self, verification_card=self.verification_card.model_copy(update={"detector_share": share}))

    @property
    def detection_card(self) -> ModelCard:
        """See `Detector.detection_card`."""
        return self.detector.detection_card

    @property
    def provider(self) -> str:
        """See `Detector.provider`."""
        return self.detector.provider

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.screen`."""
        (scores,) = _recall(self._screened, [tiles], lambda asked: [self.detector.screen(asked[0])])
        return scores

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """See `Detector.detect`."""
        return _recall(self._detected, sub_tiles, lambda asked: self.detector.detect(np.stack(asked)))

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.verify`."""
        return np.asarray(
            _recall(self._verified, windows, lambda asked: list(self.detector.verify(np.stack(asked)))), np.float32
        )


def _recall(
    memory: dict[bytes, _Answer],
    pictures: Iterable[NDArray[np.uint8]],
    ask: Callable[[list[NDArray[np.uint8]]], list[_Answer]],
) -> list[_Answer]:
    """What `ask` says of each picture, asked once for each that `memory` does not hold."""
    keyed = [(repr(p.shape).encode() + hashlib.sha256(p.tobytes()).digest(), p) for p in pictures]
    new = {key: picture for key, picture in keyed if key not in memory}
    if new:
        memory.update(zip(new, ask(list(new.values())), strict=True))
    return [memory[key] for key, _ in keyed]
