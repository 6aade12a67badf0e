"""Whether a version may serve on this machine: every reason why not is found before anybody's slide meets it."""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from serving.registry.opset import OPSETS, read_opset
from serving.registry.provenance import check_signature
from serving.roles.role import MODEL_ROLES, ModelRole
from serving.scoring.batch_sizes import find_rounding
from serving.scoring.int8 import INT8
from serving.scoring.openvino_session import PRECISIONS
from serving.scoring.session import Session
from serving.scoring.sessions import choose_providers, open_session

SAMPLE = "parity.npz"
"""Beside the graph: `input`, and what the graph gave for it where it was made, by output."""
EXACT = "CPUExecutionProvider"
RUN_S = 240.0
"""A run is stopped then: providers may prepare themselves for minutes in the first, but some graphs have no end."""


Outputs = Mapping[str, NDArray[np.generic]]
"""Output arrays by name, as in `parity.npz`."""

NO_GRAPH = "nothing"
"""Provider of a version that is all in its card."""
FAINT = 0.1
"""Boxes that are less likely than this may come and go by rounding."""


def differences(found: Outputs, stated: Outputs, tolerances: Mapping[str, float]) -> dict[str, float]:
    """Largest absolute difference of each output that has a tolerance; infinite where shapes differ or a box has no partner.

    Boxes are compared with the nearest of the same window: two that are equally likely may change places.
    """
    if "boxes" in stated:
        return _box_differences(found, stated)
    return {name: _largest(found[name], stated[name]) for name in stated if name in tolerances}


def _largest(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))


def _box_differences(found: Outputs, stated: Outputs) -> dict[str, float]:
    boxes = probabilities = 0.0
    if len(found["boxes"]) != len(stated["boxes"]):
        return {"boxes": float("inf"), "probabilities": float("inf")}
    for window in range(len(stated["boxes"])):
        sides = [_window(outputs, window) for outputs in (found, stated)]
        for (own, own_p), (other, other_p) in (sides, reversed(sides)):
            kept = own_p >= FAINT
            if not kept.any():
                continue
            if not len(other):
                return {"boxes": float("inf"), "probabilities": float("inf")}
            away = cdist(own[kept], other, "chebyshev")
            nearest = away.argmin(axis=1)
            boxes = max(boxes, float(away.min(axis=1).max()))
            probabilities = max(probabilities, float(np.abs(other_p[nearest] - own_p[kept]).max()))
    return {"boxes": boxes, "probabilities": probabilities}


def _window(outputs: Outputs, window: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes, float64, shape (N, 4), and probabilities of one window, without the padding."""
    count = int(outputs["counts"][window]) if "counts" in outputs else len(outputs["boxes"][window])
    boxes, probabilities = outputs["boxes"][window, :count], outputs["probabilities"][window, :count]
    return boxes.astype(np.float64), probabilities.astype(np.float64)


@dataclass(frozen=True, slots=True)
class VersionCheck:
    """What was found of a version that may serve here."""

    name: str
    version: str
    provider: str
    opset: int
    signer: str | None
    """File of the key that its card was signed with."""
    parity: dict[str, float]
    """Largest difference from its sample, by output."""
    window_s: float
    """Seconds that one window takes, on a CPU by all cores together."""


def check_version(
    folder: Path, *, window_s: float, providers: Sequence[str] | None = None, signers: Sequence[Path] = ()
) -> VersionCheck:
    """The findings for the version in `folder`, which may serve on this machine.

    Its card and the hashes of its files, its signature, its opset, the types, axes and sizes of its inputs and outputs are
    checked; then it runs: on its sample, whose results must be those that it states, and on white, black and noise.

    window_s : seconds that a window may take
    providers : as for `load_detector`
    signers : see `check_signature`

    Raises
    ------
    ModelError
        If it may not; the message says why.
    """
    card = load_card(folder)
    label, role = f"model {card.name} {card.version}", MODEL_ROLES.find(card.name, card.task)
    signer = check_signature(folder, signers)
    if not role.has_graph:
        return VersionCheck(card.name, card.version, NO_GRAPH, 0, None if signer is None else signer.name, {}, 0.0)
    opset = read_opset(folder / "model.onnx")
    if opset not in OPSETS:
        raise ModelError(f"{label} uses opset {opset}; {OPSETS.start} to {OPSETS.stop - 1} are served: export it again")
    session = open_session(folder, card, choose_providers(providers))
    _check_sizes(session, card, role, label)
    sample = _sample(folder, card, role, label)
    graph = _Graph(session, label)
    found, took = graph.time_run(sample["input"])
    windows = _windows(found, sample["input"], card, role, label)
    if took > window_s * windows:  # the first run may have been slow for reasons of its own
        _, took = graph.time_run(sample["input"])
    if took > window_s * windows:
        raise ModelError(
            f"{label} is too slow here: {took / windows:.2g} s a window, and MITOSIS_MODEL_WINDOW_S allows {window_s:g}"
        )
    for probe in _probes(sample["input"]):
        _windows(graph.run(probe), probe, card, role, label)
    if find_rounding(graph.provider):
        # It moves results on purpose; that files and graph are right shows where nothing is rounded.
        graph = _Graph(open_session(folder, card, [EXACT]), label)
        found = graph.run(sample["input"])
    parity = differences(found, {name: sample[name] for name in found}, role.tolerances)
    for name, difference in parity.items():
        if not difference <= role.tolerances[name]:
            raise ModelError(
                f"{label} fails parity here: {name} are {difference:.3g} from those in its {SAMPLE}, and "
                f"{role.tolerances[name]:g} is allowed; it runs on {graph.provider}"
            )
    return VersionCheck(
        card.name,
        card.version,
        session.get_providers()[0],
        opset,
        None if signer is None else signer.name,
        parity,
        took / windows,
    )


class _Graph:
    """A session whose runs end."""

    def __init__(self, session: Session, label: str) -> None:
        self._session, self._label = session, label
        self._input: str = session.get_inputs()[0].name
        self._outputs: list[str] = [output.name for output in session.get_outputs()]
        self.provider: str = session.get_providers()[0]

    def time_run(self, sample: NDArray[np.generic]) -> tuple[Outputs, float]:
        """Outputs by name, and the seconds that they took; raises as `run`.

        On a CPU these are processor seconds over the cores: that others keep a machine busy is not the model's fault.
        """
        on_cpu = self.provider in (EXACT, INT8, *PRECISIONS)
        clock, share = (time.process_time, len(os.sched_getaffinity(0))) if on_cpu else (time.perf_counter, 1)
        started = clock()
        found = self.run(sample)
        return found, (clock() - started) / share

    def run(self, sample: NDArray[np.generic]) -> Outputs:
        """Outputs by name; raises `ModelError` where the graph fails, or does not end within `RUN_S`."""
        options = onnxruntime.RunOptions()
        timer = threading.Timer(RUN_S, lambda: setattr(options, "terminate", True))
        timer.start()
        try:
            found = self._session.run(self._outputs, {self._input: sample}, options)
        except Exception as error:  # ONNX Runtime raises types of its own that share no base
            late = f" or took more than {RUN_S:g} s" if options.terminate else ""
            raise ModelError(f"{self._label} failed{late} on windows that it must take: {error}") from error
        finally:
            timer.cancel()
        for name, values in zip(self._outputs, found, strict=True):
            if not np.isfinite(values).all():
                raise ModelError(f"{self._label} gives {name} that are not finite")
        return dict(zip(self._outputs, found, strict=True))


def _check_sizes(session: Session, card: ModelCard, role: ModelRole, label: str) -> None:
    """The graph takes what the card states: any number of windows of its size, or of whole tiles for a screening model."""
    count, height, width, channels = session.get_inputs()[0].shape
    wanted = card.input.window_px
    if isinstance(count, int):
        raise ModelError(f"{label} takes {count} windows at a time; its first axis must be free")
    if isinstance(channels, int) and channels != 3:
        raise ModelError(f"{label} takes {channels} channels; windows are RGB, with channels last")
    fixed = [side for side in (height, width) if isinstance(side, int)]
    if not role.any_side and any(side != wanted for side in fixed):
        raise ModelError(f"{label} takes windows of {height} x {width} px, its card states {wanted}")


def _sample(folder: Path, card: ModelCard, role: ModelRole, label: str) -> Mapping[str, NDArray[Any]]:
    if SAMPLE not in card.files:
        raise ModelError(
            f"{label} ships without {SAMPLE}, so that nothing can tell whether it runs as it did; export it again"
        )
    try:
        with np.load(folder / SAMPLE, allow_pickle=False) as stored:
            sample = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, BadZipFile, EOFError) as error:
        raise ModelError(f"{folder / SAMPLE} cannot be read: {error}") from error
    if missing := {"input", *role.outputs} - set(sample):
        raise ModelError(f"{folder / SAMPLE} lacks {', '.join(sorted(missing))}")
    if sample["input"].dtype != np.uint8 or sample["input"].ndim != 4 or not len(sample["input"]):
        raise ModelError(f"the input in {folder / SAMPLE} is not a batch of uint8 pictures, shape (N, H, W, 3)")
    return sample


def _windows(found: Outputs, sample: NDArray[np.generic], card: ModelCard, role: ModelRole, label: str) -> int:
    """How many windows the outputs are of; raises `ModelError` where their shapes are not those of the contract."""
    for name, shape in role.shapes(sample.shape, card.input.stride_px, found).items():
        if found[name].shape != shape:
            raise ModelError(f"{label} gives {name} of shape {found[name].shape} for {sample.shape}, must be {shape}")
    return role.count_windows(sample.shape, card.input.stride_px)


def _probes(sample: NDArray[np.generic]) -> list[NDArray[np.uint8]]:
    """One picture each of white, black and noise, of the sample's size."""
    shape = (1, *sample.shape[1:])
    noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    return [np.full(shape, 255, np.uint8), np.zeros(shape, np.uint8), noise]
