"""Released models on ONNX Runtime, on processors and GPUs, or on OpenVINO where it is asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from serving.roles.role import MODEL_ROLES
from serving.scoring import cuda_session, int8, openvino_session
from serving.scoring.batch_sizes import GPU_PROVIDERS, choose_batch_sizes
from serving.scoring.batches import run_in_batches
from serving.scoring.candidates import find_candidates
from serving.scoring.cuda_session import HALF, CudaMissingError, CudaSession
from serving.scoring.fixed_batch import free_batch
from serving.scoring.gpus import SpreadSession, gpus
from serving.scoring.int8 import INT8, Int8Session
from serving.scoring.models import newest_release
from serving.scoring.openvino_session import PRECISIONS, OpenVinoSession
from serving.scoring.session import Session
from serving.scoring.tuning import cache_folder, choose_threads

AUTOMATIC = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Fastest first; those that do not load on this machine are passed over. TensorRT and what rounds more must be asked for."""
CPU = "CPUExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
OWN: dict[str, Callable[[str], str | None]] = {
    HALF: cuda_session.missing,
    INT8: lambda _: int8.missing(),
    **dict.fromkeys(PRECISIONS, openvino_session.missing),
}
"""Providers that ONNX Runtime does not name, and what says why one cannot run here."""
BAND_ROWS = 2
"""Rows of sub-tiles that one call of Reg-NS sees on a CPU: 16 sub-tiles keep activations near the caches."""
_FATAL = 4


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
        def run(batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
            found: list[NDArray[Any]] = self._session.run(["scores"], {"tiles": np.ascontiguousarray(batch)}, self._run)
            return found

        most = choose_batch_sizes(self.provider).tiles
        (scores,) = run_in_batches(tiles, run, most) if self.provider in GPU_PROVIDERS else run(tiles)
        if not np.isfinite(scores).all():
            raise ModelError(f"{_label(self.card)} gave scores that are not finite")
        return scores


@dataclass(frozen=True, slots=True)
class OnnxDetector:
    """Reg-NS, Det and, where there is one, the verifier of one models folder; see `Detector`."""

    detection_card: ModelCard
    _screener: OnnxScreener
    _detection: Session
    verification_card: ModelCard | None = None
    _verification: Session | None = None
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
        copy = replace(self, _screener=replace(self._screener, _run=run), _run=run)
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
        if not (np.isfinite(boxes).all() and np.isfinite(probabilities).all()):
            raise ModelError(f"{_label(self.detection_card)} gave boxes that are not finite")
        return [
            Detections(b[:n], p[:n], np.zeros(n, np.float32))
            for b, p, n in zip(boxes, probabilities, counts, strict=True)
        ]

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.verify`."""
        if self._verification is None or self.verification_card is None:
            raise ModelError("this models folder has no verifier")
        found: NDArray[np.float32] = self._run_on(
            self._verification, ["probabilities"], windows, choose_batch_sizes(self.provider).candidates
        )[0]
        if not np.isfinite(found).all():
            raise ModelError(f"{_label(self.verification_card)} gave probabilities that are not finite")
        return found

    def _run_on(self, session: Session, names: list[str], windows: NDArray[np.uint8], most: int) -> list[NDArray[Any]]:
        def run(batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
            found: list[NDArray[Any]] = session.run(names, {"windows": batch}, self._run)
            return found

        return run_in_batches(windows, run, most) if self.provider in GPU_PROVIDERS else run(windows)


@dataclass(frozen=True, slots=True)
class OnnxOneStage:
    """A one-stage detector; see `OneStageDetector`."""

    card: ModelCard
    provider: str
    _session: Session
    _run: onnxruntime.RunOptions = field(default_factory=onnxruntime.RunOptions)

    def stoppable(self) -> tuple[Self, Callable[[], None]]:
        """See `OnnxDetector.stoppable`."""
        run = onnxruntime.RunOptions()
        return replace(self, _run=run), lambda: setattr(run, "terminate", True)

    def find(self, windows: NDArray[np.uint8]) -> list[Detections]:
        """See `OneStageDetector.find`."""
        role = MODEL_ROLES.find(self.card.name, self.card.task)
        names = list(role.outputs)

        def run(batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
            found: list[NDArray[Any]] = self._session.run(names, {"windows": batch}, self._run)
            return found

        most = self.card.input.batch or choose_batch_sizes(self.provider).windows
        found = run_in_batches(windows, run, most) if self.provider in GPU_PROVIDERS else run(windows)
        if not all(np.isfinite(values).all() for values in found):
            raise ModelError(f"{_label(self.card)} gave values that are not finite")
        return find_candidates(self.card, dict(zip(names, found, strict=True)))


ReleasedDetector = OnnxDetector | OnnxOneStage


def load_detector(root: Path, *, providers: Sequence[str] | None = None) -> ReleasedDetector:
    """The release that the newest versions under `root` make, checked against cards and serving contract.

    providers : execution providers in order of preference; by default the fastest that this machine has

    Raises
    ------
    ModelError
        If a model is missing, altered or breaks the contract, or a provider is unknown.
    """
    wanted = choose_providers(providers)
    return load_release(newest_release(root), providers=wanted)


def load_release(folders: Mapping[str, Path], *, providers: Sequence[str] | None = None) -> ReleasedDetector:
    """The detector of a release, version folders by name: its one-stage detector, or its cascade as `load_cascade`.

    Raises
    ------
    ModelError
        As `load_detector`.
    """
    alone = [name for name in folders if name in MODEL_ROLES and MODEL_ROLES[name].one_stage]
    if not alone:
        return load_cascade(folders, providers=providers)
    card, session = _load(folders[alone[0]], choose_providers(providers))
    return OnnxOneStage(card, session.get_providers()[0], session)


def load_cascade(folders: Mapping[str, Path], *, providers: Sequence[str] | None = None) -> OnnxDetector:
    """The models in version folders, by name, checked as `load_detector` does.

    Models that the cascade does not run are passed over; those that it may go without may be absent.

    Raises
    ------
    ModelError
        As `load_detector`.
    """
    wanted = choose_providers(providers)
    names = MODEL_ROLES.cascade()
    if missing := [name for name in MODEL_ROLES.missing(folders) if name not in folders]:
        raise ModelError(f"a cascade needs {' and '.join(missing)} too; there are {', '.join(folders) or 'no models'}")
    screener = load_screener(folders[names["screening"]], providers=wanted)
    card, detection = _load(folders[names["detection"]], wanted)
    verifier = names.get("verification")
    if verifier is None or verifier not in folders:
        return OnnxDetector(card, screener, detection)
    return OnnxDetector(card, screener, detection, *_load(folders[verifier], wanted))


def _load(folder: Path, providers: Sequence[str]) -> tuple[ModelCard, Session]:
    card = load_card(folder)
    return card, open_session(folder, card, providers)


def load_screener(folder: Path, *, providers: Sequence[str] | None = None) -> OnnxScreener:
    """The screening model in `folder`, a version folder with card.json, checked as `load_detector` does.

    Raises
    ------
    ModelError
        If it is missing, altered, of another task or breaks the contract, or a provider is unknown.
    """
    wanted = choose_providers(providers)
    card = load_card(folder)
    if card.task != "screening":
        raise ModelError(f"{_label(card)} in {folder} is a {card.task} model; give the folder of a screening model")
    session = open_session(folder, card, wanted)
    return OnnxScreener(card, session.get_providers()[0], session)


def choose_providers(asked: Sequence[str] | None) -> list[str]:
    """Those asked for, else the fastest that this machine has; raises `ModelError` for one that is unknown here."""
    available = onnxruntime.get_available_providers()
    if asked and asked[0] in OWN:
        if why_not := OWN[asked[0]](asked[0]):
            raise ModelError(why_not)
        return [asked[0]]
    if asked:
        if unknown := [name for name in asked if name not in available]:
            known = ", ".join([*available, *OWN])
            raise ModelError(f"unknown execution provider {', '.join(unknown)}; available: {known}")
        return list(asked)
    # The GPU build lists its providers on every machine, and says so at length when they fail to load.
    has_gpu = Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()
    return [name for name in AUTOMATIC if name in available and (has_gpu or name == CPU)]


def open_session(folder: Path, card: ModelCard, providers: Sequence[str]) -> Session:
    """The graph in `folder`, whose inputs and outputs are those of the model's role; raises `ModelError`.

    A one-stage detector whose graph takes a fixed number of windows takes any.
    """
    try:
        session = _open_onnx_session(folder / "model.onnx", providers)
    except Exception as error:  # ONNX Runtime raises types of its own that share no base.
        raise ModelError(f"{_label(card)} does not load: {error}") from error
    if MODEL_ROLES.find(card.name, card.task).one_stage:
        session = free_batch(session)
    _check_contract(session, card)
    return session


def _open_onnx_session(path: Path, providers: Sequence[str]) -> Session:
    """The graph on the first of the providers, or on the next where CUDA does not load."""
    first, *others = providers
    if first in PRECISIONS:
        return OpenVinoSession(path, first)
    if first in cuda_session.PROVIDERS:
        try:
            sessions = [CudaSession(path, first)]
            # The first has loaded CUDA's libraries, so that GPUs can be counted.
            sessions += [CudaSession(path, first, device=device) for device in range(1, gpus())]
            return SpreadSession(sessions) if sessions[1:] else sessions[0]
        except CudaMissingError:
            if not others:
                raise
            return _open_onnx_session(path, others)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = choose_threads(first)
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    if first == INT8:
        return Int8Session(path, options)
    session: Session = onnxruntime.InferenceSession(path, options, providers=[_with_options(p) for p in providers])
    return session


def _with_options(provider: str) -> str | tuple[str, dict[str, str]]:
    """A provider as ONNX Runtime takes it. TensorRT builds an engine for minutes, so engines are kept in this user's cache."""
    if provider != TENSORRT:
        return provider
    kept = cache_folder() / "engines"
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    return provider, {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(kept),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(kept),
    }


def _check_contract(session: Session, card: ModelCard) -> None:
    role = MODEL_ROLES.find(card.name, card.task)
    for what, wanted, found in (
        ("inputs", role.inputs, session.get_inputs()),
        ("outputs", role.outputs, session.get_outputs()),
    ):
        have = {tensor.name: (tensor.type, len(tensor.shape)) for tensor in found}
        if have != wanted:
            raise ModelError(f"{_label(card)} breaks the serving contract: {what} are {have}, must be {wanted}")


def _label(card: ModelCard) -> str:
    return f"model {card.name} {card.version}"
