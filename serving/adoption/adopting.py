"""From a graph and its contract to the folder of a version: graph, sample and card."""

import hashlib
import io
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.adoption.contract import AdoptionContract
from serving.adoption.weights import WeightsFile
from serving.core.errors import ModelError, RequestError
from serving.core.geometry import Region, WorkFrame
from serving.core.modelcard import ModelCard
from serving.core.modelinput import ModelInput
from serving.core.words import RESEARCH_USE
from serving.roles.role import MODEL_ROLES
from serving.scoring.candidates import find_candidates
from serving.scoring.reading import read_mirrored
from serving.scoring.session import free_batch
from serving.slides.arrayslide import ArraySlide
from serving.synthetic.field import MPP, generate_field

Outputs = Mapping[str, NDArray[Any]]
NOT_JUDGED = "nobody has judged it here: measure it on a golden set before it serves"


def make_windows(contract: AdoptionContract) -> NDArray[np.uint8]:
    """The sample of a version: white, black, sparse and crowded generated tissue at its resolution.

    Noise is not among it: what a network makes of it can hang on the last digit, so that it tells nothing of the graph.

    -> uint8, shape (5, side, side, 3)
    """
    return _draw_windows(contract.window_px, contract.mpp).copy()


@cache
def _draw_windows(side: int, mpp: float) -> NDArray[np.uint8]:
    """Drawn once: an adoption asks several times, of torch's module and of the graph that is made of it."""
    frame = WorkFrame.from_mpp(MPP, mpp)
    drawn = frame.region_to_level0(Region(0, 0, side, side))
    tissue = []
    for seed, density in ((71, 30.0), (72, 600.0), (73, 300.0)):
        field = generate_field(
            seed=seed, width=drawn.width, height=drawn.height, mitoses_per_mm2=density, lookalikes_per_mm2=density
        )
        tissue.append(read_mirrored(ArraySlide(field.pixels, mpp=MPP), frame, Region(0, 0, side, side)))
    return np.stack([np.full((side, side, 3), 255, np.uint8), np.zeros((side, side, 3), np.uint8), *tissue])


def run_graph(graph: bytes, windows: NDArray[np.uint8]) -> Outputs:
    """What a graph gives for windows, on a CPU, by name.

    Raises
    ------
    ModelError
        If it does not load or fails.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = free_batch(onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]))
        names = [output.name for output in session.get_outputs()]
        parts = [session.run(names, {"windows": windows[i : i + 1]}) for i in range(len(windows))]
    except Exception as error:  # ONNX Runtime raises types of its own that share no base
        raise ModelError(f"the graph fails on windows that it must take: {error!s:.500}") from error
    return {name: np.concatenate(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}


def write_version(
    graph: bytes, contract: AdoptionContract, folder: Path, *, weights: str, parameters: int
) -> ModelCard:
    """Write a version, `model.onnx`, `parity.npz` and `card.json`; gives its card.

    folder : which is not there yet; it is made whole or not at all
    graph : in the serving contract of its role. weights : what is said of them, such as the file that they are from
    parameters : how many the network has

    Raises
    ------
    ModelError
        If the graph fails, gives what is no probability, or the card is refused.
    RequestError
        If the folder is there.
    """
    check_absent(folder)
    windows = make_windows(contract)
    found = run_graph(graph, windows)
    role = MODEL_ROLES[contract.role]()
    if set(found) != set(role.outputs):
        raise ModelError(
            f"the graph gives {', '.join(found)}; a model of {contract.role} gives {', '.join(role.outputs)}"
        )
    for name, shape in role.shapes(windows.shape, contract.window_px, found).items():
        if found[name].shape != shape:
            raise ModelError(
                f"the graph gives {name} of shape {found[name].shape} for {windows.shape}, must be {shape}"
            )
    if not all(np.isfinite(values).all() for values in found.values()):
        raise ModelError("the graph gives values that are not finite for white, black or generated tissue")
    sample = io.BytesIO()
    np.savez_compressed(sample, input=windows, **dict(found))  # type: ignore[arg-type]  # the stubs take no names
    files = {"model.onnx": graph, "parity.npz": sample.getvalue()}
    card = _make_card(graph, contract, files, weights=weights, parameters=parameters)
    if contract.role != "regions":
        find_candidates(card, found)
    elif found["probabilities"].shape[1] != len(card.tissue_classes or []):
        planes = found["probabilities"].shape[1]
        raise ModelError(
            f"the graph gives {planes} planes, and the contract states {len(card.tissue_classes or [])} tissue_classes"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as unfinished:
        part = Path(unfinished, folder.name)
        part.mkdir()
        for name, content in (*files.items(), ("card.json", card.model_dump_json(indent=1).encode())):
            (part / name).write_bytes(content)
        part.rename(folder)
    return card


def adopt_weights(
    graph: bytes, contract: AdoptionContract, found: WeightsFile, models: Path, *, parameters: int, note: str = ""
) -> tuple[ModelCard, Path]:
    """Write the version that a file of weights becomes below a folder of models; gives its card and its own folder.

    found : the file, whose hash the card states, and whose licence where the contract states none. note : said behind the hash

    Raises
    ------
    ModelError, RequestError
        As `write_version`.
    """
    if contract.licence is None and found.licence is not None:
        contract = contract.model_copy(update={"licence": found.licence})
    with found.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = find_version_folder(contract, models)
    said = f"of {found.path.name}, SHA-256 {digest}{note}"
    return write_version(graph, contract, folder, weights=said, parameters=parameters), folder


def find_version_folder(contract: AdoptionContract, models: Path) -> Path:
    """Where the version of a contract lies below a folder of models."""
    return models / contract.role / contract.version


def check_absent(folder: Path) -> None:
    """Raise `RequestError` where a version is there: versions never change."""
    if folder.exists():
        raise RequestError(f"{folder} is there already; versions never change, state another one")


def _make_card(
    graph: bytes, contract: AdoptionContract, files: Mapping[str, bytes], *, weights: str, parameters: int
) -> ModelCard:
    of_kind: dict[str, Any] = {"tissue_classes": contract.tissue_classes, "least_part_mm2": contract.least_part_mm2}
    if contract.role != "regions":
        of_kind = {
            "detection_threshold": contract.threshold,
            "merge_radius_um": contract.merge_radius_um,
            "least_probability": contract.least_probability,
        }
    if contract.role == "points":
        of_kind |= {"peak_distance_um": contract.peak_distance_um, "point_box_um": contract.point_box_um}
    elif contract.role == "boxes":
        of_kind |= {"nms_iou": contract.nms_iou}
    try:
        return ModelCard(
            schema_version="1.0",
            name=contract.role,
            version=contract.version,
            task=MODEL_ROLES[contract.role].task,
            architecture=contract.architecture,
            input=ModelInput(
                window_px=contract.window_px,
                stride_px=contract.window_px - contract.overlap_px,
                overlap_px=contract.overlap_px,
                mpp=contract.mpp,
                layout=f"windows: uint8 (n, {contract.window_px}, {contract.window_px}, 3), RGB",
                normalisation=contract.pixels.normalisation,
                batch=find_batch(graph) or contract.batch,
            ),
            output=", ".join(MODEL_ROLES[contract.role].outputs),
            weights=weights,
            parameters=parameters,
            licence=contract.licence,
            source=contract.source,
            data=contract.data,
            evaluation="none here",
            per_slide=[],
            figures={},
            limits=[*contract.limits, NOT_JUDGED],
            research_use=RESEARCH_USE,
            files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            **of_kind,
        )
    except ValueError as error:
        raise ModelError(f"the contract makes no valid card: {error}") from error


def find_batch(graph: bytes) -> int | None:
    """How many windows a graph takes at once; None where it takes any number."""
    first = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).get_inputs()[0].shape[0]
    return first if isinstance(first, int) else None
