"""Sessions of released graphs: on which provider, opened how, and held against the contract of the model's role."""

import ctypes
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import onnxruntime

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.roles.role import MODEL_ROLES
from serving.scoring import cuda_session, int8, openvino_session
from serving.scoring.batch_sizes import cores
from serving.scoring.cuda_session import HALF, CudaMissingError, CudaSession
from serving.scoring.gpus import SpreadSession, gpus
from serving.scoring.int8 import INT8, Int8Session
from serving.scoring.openvino_session import PRECISIONS, OpenVinoSession
from serving.scoring.session import Session, free_batch
from serving.scoring.tuning import cache_folder, choose_threads

_T = TypeVar("_T")

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
_FATAL = 4


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

    A one-stage detector or a regions model whose graph takes a fixed number of windows takes any.
    """
    try:
        session = _open_onnx_session(folder / "model.onnx", providers)
    except Exception as error:  # ONNX Runtime raises types of its own that share no base.
        raise ModelError(f"{label_model(card)} does not load: {error}") from error
    role = MODEL_ROLES.find(card.name, card.task)
    if role.one_stage or role.overlaps:
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
    # Threads that wait for work sleep. Spinning, they kept readers and other models from the processor: small graphs took 1.2 to 1.5 times as
    # long, and large ones no less.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _FATAL
    # A plan of memory for each shape of input is a block of its own beside what other shapes used: 250 MiB for patches of a second shape.
    options.enable_mem_pattern = False
    if first in (CPU, INT8):
        share_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
    if first == INT8:
        return Int8Session(path, options)
    session: Session = onnxruntime.InferenceSession(path, options, providers=[_with_options(p) for p in providers])
    return session


def share_arena() -> None:
    """Let sessions on a processor that are opened from now on take their memory for activations from one place.

    With a place of its own each keeps what its largest run took, though only one runs at a time: Reg-NS, Det, verifier, atypia
    and triage held 1,240 MiB, and hold 939 together. Nothing is computed otherwise.
    """
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    with _sharing:
        if not _shared:
            # The library's own choices of size, growth and pieces.
            onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg(0, -1, -1, -1))
            _shared.append(place)


def give_back_memory() -> None:
    """Give what is free to the system (malloc_trim(3)): C libraries keep the room of what was loaded or is gone. Else nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def open_together(opening: Sequence[Callable[[], _T]], providers: Sequence[str]) -> list[_T]:
    """What each gives, in order; two at a time, but on a GPU, whose libraries are loaded by whoever comes first.

    Raises
    ------
    ModelError
        What the first that fails raises, once all have ended.
    """
    if providers[0] in cuda_session.PROVIDERS or providers[0] == TENSORRT:
        return [open_one() for open_one in opening]
    with ThreadPoolExecutor(min(cores(), 2), thread_name_prefix="loader") as pool:
        waiting = [pool.submit(open_one) for open_one in opening]
        opened = [future.result() for future in waiting]
    # Reading a graph takes as much again as keeping it.
    give_back_memory()
    return opened


_sharing, _shared = threading.Lock(), list[onnxruntime.OrtMemoryInfo]()


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
            raise ModelError(f"{label_model(card)} breaks the serving contract: {what} are {have}, must be {wanted}")


def label_model(card: ModelCard) -> str:
    """A model, for messages."""
    return f"model {card.name} {card.version}"
