"""Weights under evaluation as serving would run them: exported, with cards that state geometry and thresholds to try."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from serving.scoring.detector import Detector
from serving.scoring.onnx_detector import load_detector
from serving.wsi.detections import Detections
from serving.wsi.errors import ModelError
from serving.wsi.modelcard import DetectionThreshold, ModelCard, ModelInput, ScreeningThreshold
from serving.wsi.research_use import RESEARCH_USE
from training.export.graphs import DetGraph, RegNSGraph, VerifierGraph
from training.export.onnx_files import export_det, export_regns, export_verifier
from training.export.whole_tile import WholeTileRegNSGraph
from training.models.cascade import Cascade
from training.models.det import NMS_IOU
from training.models.verifier import WINDOW_PX as VERIFIER_PX
from training.models.verifier import Verifier
from training.models.whole_tile import WholeTileRegNS
from training.recipes.runs import load_run

MERGE_RADIUS_UM = 6.0
"""Centres of two figures are rarely nearer: a figure is 7 to 15 um across."""
DRAFT_VERSION = "0.0.0"
CANDIDATE_PROBABILITY = 0.05
"""Low: what Det is unsure of is the verifier's to judge."""


def draft_detector(
    cascade: Path,
    verifiers: Sequence[Path],
    screener: Path | None = None,
    *,
    provider: str = "CPUExecutionProvider",
) -> Detector:
    """The models of runs, see `graphs_of`, exported in float32 and loaded by an execution provider.

    By their cards every sub-tile passes the screening.
    """
    graphs = graphs_of(cascade, verifiers, screener)
    exports = (export_regns, export_det, export_verifier)
    with tempfile.TemporaryDirectory() as scratch:
        window = graphs[2].window_px if len(graphs) > 2 else VERIFIER_PX
        # Without verifiers there is no third graph to export.
        cards = draft_cards(whole_tile=screener is not None, verifier_px=int(window))
        for card, graph, export in zip(cards, graphs, exports, strict=False):
            folder = Path(scratch) / card.name / card.version
            folder.mkdir(parents=True)
            export(graph, folder / "model.onnx")
            digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
            stated = card.model_copy(update={"files": {"model.onnx": digest}})
            (folder / "card.json").write_text(stated.model_dump_json())
        return load_detector(Path(scratch), providers=[provider])


def graphs_of(cascade: Path, verifiers: Sequence[Path], screener: Path | None = None) -> list[Any]:
    """The graphs to export of runs: Reg-NS, Det and, where there are verifiers, one of all of them.

    cascade, verifiers : runs of cascade and verifier recipes
    screener : of a screening recipe, a Reg-NS that sees a tile at once; without it the cascade's own sees each sub-tile

    Raises
    ------
    FileNotFoundError
        If one is no finished run.
    ValueError
        If one is a run of another kind of recipe, Det's has no Reg-NS and there is no screener, or the verifiers' windows
        differ.
    """
    model = _loaded(cascade, Cascade)
    nets = [_loaded(run, Verifier) for run in verifiers]
    if screener is not None:
        screening: torch.nn.Module = WholeTileRegNSGraph(_loaded(screener, WholeTileRegNS))
    elif model.regns is not None:
        screening = RegNSGraph(model.trunk, model.regns)
    else:
        raise ValueError(f"{cascade} is a run of Det alone; give the run of a screening recipe too")
    graphs: list[torch.nn.Module] = [screening, DetGraph(model.trunk, model.det)]
    return [*graphs, VerifierGraph(nets)] if nets else graphs


_Model = TypeVar("_Model", Cascade, Verifier, WholeTileRegNS)


def _loaded(run: Path, kind: type[_Model]) -> _Model:
    recipe, model = load_run(run)
    if not isinstance(model, kind):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe, not of a {kind.__name__}")
    return model


_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Remembering:
    """A detector that computes once what it is asked again: by another screening threshold, with and without the verifier."""

    detector: Detector
    screening_card: ModelCard
    verification_card: ModelCard | None
    _screened: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)
    _detected: dict[bytes, Detections] = field(default_factory=dict)
    _verified: dict[bytes, np.float32] = field(default_factory=dict)

    @classmethod
    def of(cls, detector: Detector) -> "Remembering":
        """With the detector's own cards."""
        return cls(detector, detector.screening_card, detector.verification_card)

    def at(self, screening: float, *, verified: bool) -> "Remembering":
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
        (scores,) = _recalled(self._screened, [tiles], lambda asked: [self.detector.screen(asked[0])])
        return scores

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """See `Detector.detect`."""
        return _recalled(self._detected, sub_tiles, lambda asked: self.detector.detect(np.stack(asked)))

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.verify`."""
        return np.asarray(
            _recalled(self._verified, windows, lambda asked: list(self.detector.verify(np.stack(asked)))), np.float32
        )


def _recalled(
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


def draft_cards(*, whole_tile: bool = False, verifier_px: int = VERIFIER_PX) -> tuple[ModelCard, ModelCard, ModelCard]:
    """Cards of weights under evaluation: real geometry, thresholds that are nobody's choice yet, no figures."""
    geometry = ModelInput(window_px=250, stride_px=125, mpp=0.25, layout="uint8 RGB")
    common: dict[str, Any] = {
        "schema_version": "1.0",
        "version": DRAFT_VERSION,
        "input": geometry,
        "weights": "float32, under evaluation",
        "parameters": 1,
        "data": [],
        "evaluation": "none yet",
        "per_slide": [],
        "figures": {},
        "limits": [],
        "research_use": RESEARCH_USE,
        "files": {"model.onnx": "0" * 64},
    }
    chosen: dict[str, str] = {"how_chosen": "given", "data": "none", "achieved": "not measured"}
    undecided = DetectionThreshold(probability=0.5, **chosen)
    return (
        ModelCard(
            **{**common, "input": geometry.model_copy(update={"whole_tile": whole_tile})},
            name="reg-ns",
            task="screening",
            architecture="draft",
            output="scores",
            screening_threshold=ScreeningThreshold(score=0.0, **chosen),
        ),
        ModelCard(
            **common,
            name="det",
            task="detection",
            architecture="draft",
            output="boxes",
            detection_threshold=undecided,
            nms_iou=NMS_IOU,
            merge_radius_um=MERGE_RADIUS_UM,
        ),
        ModelCard(
            **{
                **common,
                "input": ModelInput(window_px=verifier_px, stride_px=verifier_px, mpp=0.25, layout="uint8 RGB"),
            },
            name="verifier",
            task="verification",
            architecture="draft",
            output="probabilities",
            detection_threshold=undecided,
            candidate_probability=CANDIDATE_PROBABILITY,
        ),
    )
