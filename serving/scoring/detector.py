"""What the pipeline asks of models: one protocol, served by ONNX Runtime here and by torch models in training."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from serving.core.card_parts import TriageThreshold
from serving.core.detections import Detections
from serving.core.errors import RequestError
from serving.core.fusion import CASCADE, Fusion
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
class TriagedDetector(Detector, Protocol):
    """A cascade before which a light net may look; `triage_card` is None where there is none."""

    @property
    def triage_card(self) -> ModelCard | None:
        """Card of the light net; states the side of its cells and its threshold."""

    def triage(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each cell that the centre of a mitotic figure lies in it.

        tiles : uint8, shape (N, H, W, 3), equally large, H and W multiples of the cells' side
        -> float32, shape (N, H / side, W / side); [n, i, j] is the cell at (j, i) * side
        """

    def verify_once(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `verify`, of one view of each window, by a verifier whose card states `views`."""


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


class Classifier(Protocol):
    """The atypia model: it says of windows around mitotic figures how likely each figure is an atypical one."""

    @property
    def card(self) -> ModelCard:
        """States the side of a window, its resolution, the calibration and the threshold."""

    @property
    def provider(self) -> str:
        """See `Detector.provider`."""

    def classify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each window that the figure in its middle is atypical, before any calibration.

        windows : uint8, shape (N, side, side, 3), RGB at the resolution of the card
        -> float32, shape (N,)
        """


@runtime_checkable
class ClassifyingDetector(Protocol):
    """A detector of either kind beside which an atypia model may stand; `atypia` is None where there is none."""

    @property
    def atypia(self) -> Classifier | None:
        """The atypia model of the same release."""


class Segmenter(Protocol):
    """The regions model: it says of windows which class of tissue each place shows."""

    @property
    def card(self) -> ModelCard:
        """States windows, overlap, resolution and classes."""

    @property
    def provider(self) -> str:
        """See `Detector.provider`."""

    def segment(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each class of the card at each place, 0 to 1.

        windows : uint8, shape (N, side, side, 3), RGB at the resolution of the card
        -> float32, shape (N, classes, h, w), h and w dividing the side by one whole number
        """


@runtime_checkable
class SegmentingDetector(Protocol):
    """A detector of either kind beside which a regions model may stand; `regions` is None where there is none."""

    @property
    def regions(self) -> Segmenter | None:
        """The regions model of the same release."""


SingleDetector = Detector | OneStageDetector
"""What finds figures by itself."""


@runtime_checkable
class EnsembleDetector(Protocol):
    """Several detectors, each of which sees the slide by itself, whose probabilities become one."""

    @property
    def ensemble_card(self) -> ModelCard:
        """States the fusion, the calibration of what comes of it, and the threshold that counts."""

    @property
    def members(self) -> Mapping[str, SingleDetector]:
        """The detectors by the names that the fusion has for them, in its order."""

    @property
    def provider(self) -> str:
        """See `Detector.provider`; of all members."""


AnyDetector = SingleDetector | EnsembleDetector


def list_members(detector: AnyDetector) -> dict[str, SingleDetector]:
    """The detectors that see a slide, by name: those of an ensemble, or the detector itself."""
    if isinstance(detector, EnsembleDetector):
        return dict(detector.members)
    return {detector.card.name if isinstance(detector, OneStageDetector) else CASCADE: detector}


def find_fusion(detector: AnyDetector) -> Fusion | None:
    """How the detectors of an ensemble are fused; None of one detector."""
    return detector.ensemble_card.fusion if isinstance(detector, EnsembleDetector) else None


def find_atypia(detector: AnyDetector) -> Classifier | None:
    """The atypia model beside a detector; None where there is none."""
    return detector.atypia if isinstance(detector, ClassifyingDetector) else None


def find_segmenter(detector: AnyDetector) -> Segmenter | None:
    """The regions model beside a detector; None where there is none."""
    return detector.regions if isinstance(detector, SegmentingDetector) else None


def find_regions_card(cards: Sequence[ModelCard]) -> ModelCard | None:
    """The card of the regions model among those of a release; None where there is none."""
    return next((card for card in cards if card.task == "segmentation"), None)


def find_atypia_card(cards: Sequence[ModelCard]) -> ModelCard | None:
    """The card of the atypia model among those of a release; None where there is none."""
    return next((card for card in cards if card.task == "classification"), None)


def list_cards(detector: AnyDetector) -> list[ModelCard]:
    """The cards of the models that find figures, in the order in which they see a slide; triage, atypia and regions find none.

    Of an ensemble, the cards of its members and then its own, which speaks last.
    """
    if isinstance(detector, EnsembleDetector):
        return [*(card for member in detector.members.values() for card in list_cards(member)), detector.ensemble_card]
    if isinstance(detector, OneStageDetector):
        return [detector.card]
    cards = (detector.screening_card, detector.detection_card, detector.verification_card)
    return [card for card in cards if card is not None]


def find_triage_card(detector: AnyDetector) -> ModelCard | None:
    """The card of the light net that says where a cascade looks; None where there is none."""
    lights = (m.triage_card for m in list_members(detector).values() if isinstance(m, TriagedDetector))
    return next((card for card in lights if card is not None), None)


def list_released_cards(detector: AnyDetector) -> list[ModelCard]:
    """The cards of all models of a release: triage is first, and those beside the detector last, atypia and then regions."""
    light = find_triage_card(detector)
    beside = [model.card for model in (find_atypia(detector), find_segmenter(detector)) if model is not None]
    return [*([] if light is None else [light]), *list_cards(detector), *beside]


def find_map_card(cards: Sequence[ModelCard]) -> ModelCard:
    """The card of the model that gives the map's scores, Reg-NS or a one-stage detector, among those of a release."""
    return next(card for card in cards if card.task != "triage")


def check_triage(cards: Sequence[ModelCard]) -> TriageThreshold:
    """The threshold of the light net among the models of a release.

    Raises
    ------
    RequestError
        If there is none, so that no analysis can be fast.
    """
    found = next((card.triage_threshold for card in cards if card.triage_threshold is not None), None)
    if found is None:
        names = ", ".join(f"{card.name} {card.version}" for card in cards)
        raise RequestError(
            f"`cascade` is fast, which needs a triage model, and the models have none ({names}): give exact, or serve a release "
            "with one"
        )
    return found


def boxes_card(detector: SingleDetector) -> ModelCard:
    """The card of the model that places boxes."""
    return detector.card if isinstance(detector, OneStageDetector) else detector.detection_card


def counting_threshold(cards: Sequence[ModelCard]) -> float:
    """The probability from which a detection counts, by the card of the model that speaks last."""
    chosen = cards[-1].detection_threshold
    return chosen.probability if chosen is not None else 0.5
