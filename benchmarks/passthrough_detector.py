"""A detector that passes everything on, for those that look at what passes."""

from dataclasses import dataclass

from serving.core.modelcard import ModelCard
from serving.scoring.detector import Detector


@dataclass(slots=True)
class PassthroughDetector:
    """The cards and the provider of `detector`."""

    detector: Detector

    @property
    def screening_card(self) -> ModelCard:
        """See `Detector`."""
        return self.detector.screening_card

    @property
    def detection_card(self) -> ModelCard:
        """See `Detector`."""
        return self.detector.detection_card

    @property
    def verification_card(self) -> ModelCard | None:
        """See `Detector`."""
        return self.detector.verification_card

    @property
    def provider(self) -> str:
        """See `Detector`."""
        return self.detector.provider
