"""What the pipeline asks of models: one protocol, served by ONNX Runtime here and by torch models in training."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.modelcard import ModelCard


class Detector(Protocol):
    """A cascade: Reg-NS screens sub-tiles, Det places boxes, a verifier, where there is one, judges each.

    All take uint8 RGB at the work frame's resolution.
    """

    @property
    def screening_card(self) -> ModelCard:
        """Card of Reg-NS; states window, stride and screening threshold."""

    @property
    def detection_card(self) -> ModelCard:
        """Card of Det; states detection threshold and merge radius."""

    @property
    def verification_card(self) -> ModelCard | None:
        """Card of the verifier, whose threshold then takes the place of Det's; None where Det's word is final."""

    @property
    def provider(self) -> str:
        """Execution provider that runs the models, as ONNX Runtime names it, or one of OpenVINO's."""

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores of all sub-tiles of equally large tiles.

        tiles : uint8, shape (N, H, W, 3), H and W multiples of the stride
        -> float32, shape (N, H / stride - 1, W / stride - 1); [n, i, j] is the sub-tile at (j, i) * stride
        """

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """Boxes in each sub-tile above a low floor, in sub-tile px, `scores` zero.

        sub_tiles : uint8, shape (N, window, window, 3)
        """

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each window that a mitotic figure is in its middle.

        windows : uint8, shape (N, side, side, 3), the side that the verification card states
        -> float32, shape (N,)
        """


@runtime_checkable
class OneStageDetector(Protocol):
    """A model that finds figures in windows of a slide by itself."""

    @property
    def card(self) -> ModelCard:
        """States windows, thresholds and merge radius."""

    @property
    def provider(self) -> str:
        """See `Detector.provider`."""

    def find(self, windows: NDArray[np.uint8]) -> list[Detections]:
        """Candidates of each window, boxes in window px, `scores` zero.

        windows : uint8, shape (N, window, window, 3), RGB at the work frame's resolution
        """


AnyDetector = Detector | OneStageDetector


def list_cards(detector: AnyDetector) -> list[ModelCard]:
    """The cards of all models of a detector, in the order in which they see a slide."""
    if isinstance(detector, OneStageDetector):
        return [detector.card]
    cards = (detector.screening_card, detector.detection_card, detector.verification_card)
    return [card for card in cards if card is not None]


def boxes_card(detector: AnyDetector) -> ModelCard:
    """The card of the model that places boxes."""
    return detector.card if isinstance(detector, OneStageDetector) else detector.detection_card


def counting_threshold(cards: Sequence[ModelCard]) -> float:
    """The probability from which a detection counts, by the card of the model that speaks last."""
    chosen = cards[-1].detection_threshold
    return chosen.probability if chosen is not None else 0.5
