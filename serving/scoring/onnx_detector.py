"""Released models on ONNX Runtime, on processors and GPUs, or on OpenVINO where it is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.roles.role import MODEL_ROLES, Task
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.candidates import find_candidates
from serving.scoring.int8 import INT8
from serving.scoring.onnx_classifier import OnnxClassifier
from serving.scoring.onnx_segmenter import OnnxSegmenter
from serving.scoring.outputs import check_finite, compute
from serving.scoring.session import Session
from serving.scoring.sessions import CPU
from serving.scoring.tiling import TILE_PX
from serving.scoring.views import average_views

BAND_ROWS = 2
"""Rows of sub-tiles that one call of Reg-NS sees on a CPU: 16 sub-tiles keep activations near the caches."""
TASKS_BESIDE: tuple[Task, Task] = ("verification", "triage")
"""What a cascade may go without."""


@dataclass(frozen=True, slots=True)
class OnnxScreener:
    """A screening model alone."""

    card: ModelCard
    provider: str
    _session: Session
    _run: onnxruntime.RunOptions = field(default_factory=onnxruntime.RunOptions)

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.screen`."""
        if self.card.input.whole_tile or self.provider not in (CPU, INT8):
            return self._scores(tiles)
        stride = self.card.input.stride_px
        rows = tiles.shape[1] // stride - 1
        bands = [
            self._scores(tiles[:, top * stride : (min(top + BAND_ROWS, rows) + 1) * stride])
            for top in range(0, rows, BAND_ROWS)
        ]
        return np.concatenate(bands, axis=1)

    def _scores(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        # As many px at once, whether they are whole tiles or sub-tiles by themselves.
        most = choose_batch_sizes(self.provider).tiles * max(TILE_PX**2 // (tiles.shape[1] * tiles.shape[2]), 1)
        (scores,) = compute(
            self._session, ["scores"], tiles, provider=self.provider, most=most, stop=self._run, fed="tiles"
        )
        check_finite(self.card, "scores", scores)
        return scores


@dataclass(frozen=True, slots=True)
class OnnxDetector:
    """Reg-NS, Det and, where there are some, verifier, triage and atypia of one release; see `TriagedDetector`."""

    detection_card: ModelCard
    _screener: OnnxScreener
    _detection: Session
    verification_card: ModelCard | None = None
    _verification: Session | None = None
    triage_card: ModelCard | None = None
    _triage: Session | None = None
    atypia: OnnxClassifier | None = None
    regions: OnnxSegmenter | None = None
    _run: onnxruntime.RunOptions = field(default_factory=onnxruntime.RunOptions)

    @property
    def screening_card(self) -> ModelCard:
        """See `Detector.screening_card`."""
        return self._screener.card

    @property
    def provider(self) -> str:
        """See `Detector.provider`."""
        return self._screener.provider

    def stoppable(self) -> tuple[Self, Callable[[], None]]:
        """The same models, and a function that ends what they are computing within a fraction of a second.

        The computation that is ended raises, and so does any later one of the same copy.
        """
        run = onnxruntime.RunOptions()
        beside = _make_stoppable(self, run)
        copy = replace(self, _screener=replace(self._screener, _run=run), _run=run, **beside)
        return copy, lambda: setattr(run, "terminate", True)

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.screen`."""
        return self._screener.screen(tiles)

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """See `Detector.detect`."""
        names = ["boxes", "probabilities", "counts"]
        boxes, probabilities, counts = self._run_on(
            self._detection, names, sub_tiles, choose_batch_sizes(self.provider).windows
        )
        check_finite(self.detection_card, "boxes", boxes, probabilities)
        return [
            Detections(b[:n], p[:n], np.zeros(n, np.float32))
            for b, p, n in zip(boxes, probabilities, counts, strict=True)
        ]

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.verify`."""
        if self.verification_card is None or self.verification_card.views is None:
            return self.verify_once(windows)
        return average_views(windows, self.verify_once)

    def verify_once(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `TriagedDetector.verify_once`."""
        if self._verification is None or self.verification_card is None:
            raise ModelError("this models folder has no verifier")
        found: NDArray[np.float32] = self._run_on(
            self._verification, ["probabilities"], windows, choose_batch_sizes(self.provider).candidates
        )[0]
        check_finite(self.verification_card, "probabilities", found)
        return found

    def triage(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `TriagedDetector.triage`."""
        if self._triage is None or self.triage_card is None:
            raise ModelError("this release has no triage model")
        found: NDArray[np.float32] = self._run_on(
            self._triage, ["probabilities"], tiles, choose_batch_sizes(self.provider).tiles, fed="tiles"
        )[0]
        check_finite(self.triage_card, "probabilities", found)
        return found

    def _run_on(
        self, session: Session, names: list[str], windows: NDArray[np.uint8], most: int, *, fed: str = "windows"
    ) -> list[NDArray[Any]]:
        return compute(session, names, windows, provider=self.provider, most=most, stop=self._run, fed=fed)


@dataclass(frozen=True, slots=True)
class OnnxOneStage:
    """A one-stage detector; see `OneStageDetector` and `ClassifyingDetector`."""

    card: ModelCard
    provider: str
    _session: Session
    atypia: OnnxClassifier | None = None
    regions: OnnxSegmenter | None = None
    _run: onnxruntime.RunOptions = field(default_factory=onnxruntime.RunOptions)

    def stoppable(self) -> tuple[Self, Callable[[], None]]:
        """See `OnnxDetector.stoppable`."""
        run = onnxruntime.RunOptions()
        copy = replace(self, _run=run, **_make_stoppable(self, run))
        return copy, lambda: setattr(run, "terminate", True)

    def find(self, windows: NDArray[np.uint8]) -> list[Detections]:
        """See `OneStageDetector.find`."""
        role = MODEL_ROLES.find(self.card.name, self.card.task)
        names = list(role.outputs)

        most = self.card.input.batch or choose_batch_sizes(self.provider).windows
        found = compute(self._session, names, windows, provider=self.provider, most=most, stop=self._run)
        check_finite(self.card, "values", *found)
        return find_candidates(self.card, dict(zip(names, found, strict=True)))


@dataclass(frozen=True, slots=True)
class OnnxEnsemble:
    """The detectors of one release; see `EnsembleDetector` and `ClassifyingDetector`."""

    ensemble_card: ModelCard
    members: Mapping[str, OnnxDetector | OnnxOneStage]
    atypia: OnnxClassifier | None = None
    regions: OnnxSegmenter | None = None

    @property
    def provider(self) -> str:
        """See `EnsembleDetector.provider`."""
        return next(iter(self.members.values())).provider

    def stoppable(self) -> tuple[Self, Callable[[], None]]:
        """See `OnnxDetector.stoppable`."""
        run = onnxruntime.RunOptions()
        copies = {name: member.stoppable() for name, member in self.members.items()}
        members = {name: member for name, (member, _) in copies.items()}
        copy = replace(self, members=members, **_make_stoppable(self, run))

        def stop() -> None:
            setattr(run, "terminate", True)  # noqa: B010
            for _, stop_member in copies.values():
                stop_member()

        return copy, stop


ReleasedDetector = OnnxDetector | OnnxOneStage | OnnxEnsemble


def _make_stoppable(detector: ReleasedDetector, run: onnxruntime.RunOptions) -> dict[str, Any]:
    """The models beside a detector, by its fields, that end what they compute by `run`."""
    atypia, regions = detector.atypia, detector.regions
    return {
        "atypia": None if atypia is None else replace(atypia, _run=run),
        "regions": None if regions is None else replace(regions, _run=run),
    }
