"""Networks of others become versions that find what their makers' did; what does not fit is refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from serving.adoption.adopting import make_windows, run_graph, write_version
from serving.adoption.contract import AdoptionContract, read_contract
from serving.adoption.graphs import count_parameters, wrap_network
from serving.adoption.weights import find_weights
from serving.cli.adopt import adopt
from serving.core.errors import ModelError, RequestError
from serving.core.modelcard import load_card
from serving.registry.version_check import check_version
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from serving.synthetic.field import MPP
from tests.fields import draw_field
from tests.limits import LONGEST_S
from tests.miniatures.cards import HERE
from tests.unit.serving.adoption.foreign import (
    state_boxes,
    state_map,
    write_boxes,
    write_contract,
    write_map,
    write_ultralytics,
)
from tests.unit.serving.scoring.test_miniatures import measure_f1

CPU = ["CPUExecutionProvider"]
BOXES = {"form": "boxes", "boxes": "boxes", "scores": "probabilities"}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "map": (write_map, state_map()),
    "boxes": (write_boxes, state_boxes(BOXES)),
    "ultralytics": (write_ultralytics, state_boxes({"form": "ultralytics", "label": 1})),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_adopted_network_gives_what_it_gave_and_finds_figures(kind: str, tmp_path: Path) -> None:
    write, stated = KINDS[kind]
    source = write(tmp_path / "theirs.onnx")
    contract = AdoptionContract.model_validate(stated)
    graph = wrap_network(source, contract)
    windows = make_windows(contract)
    ours, theirs = run_graph(graph, windows), _run_miniature(contract.role, windows)
    for name, values in theirs.items():
        assert np.abs(ours[name] - values).max() < 1e-3, name
    folder = tmp_path / "models" / contract.role / "1.0.0"
    card = write_version(graph, contract, folder, weights="of theirs.onnx", parameters=count_parameters(source))
    assert card == load_card(folder)
    with pytest.raises(RequestError, match="is there already; versions never change"):
        write_version(graph, contract, folder, weights="of others", parameters=1)
    assert card == load_card(folder)
    assert (card.licence, card.parameters > 20_000) == ("Apache-2.0", True)
    assert check_version(folder, window_s=LONGEST_S, providers=CPU).name == contract.role
    field = draw_field(seed=78, width=1333, height=1101, mitoses_per_mm2=250.0, lookalikes_per_mm2=250.0)
    report = score_slide(ArraySlide(field.pixels, mpp=MPP), load_detector(tmp_path / "models", providers=CPU)).report
    assert measure_f1(report, field) >= 0.9


def _run_miniature(name: str, windows: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    session = onnxruntime.InferenceSession(HERE / f"{name}.onnx", providers=CPU)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"windows": windows}), strict=True))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"output": {"form": "map", "activation": "none"}}, "must end in a sigmoid"),
        ({"output": {"form": "map", "activation": "sigmoid", "channel": 1}}, "names channel 1, and the map has 1"),
        (
            {"output": {"form": "map", "activation": "sigmoid", "tensor": "logits"}},
            "names the tensor logits, and the graph",
        ),
        ({"output": BOXES}, "names the tensor boxes, and the graph gives"),
        ({"output": {"form": "ultralytics"}}, "has 4 axes; Ultralytics gives"),
        ({"pixels": {"layout": "nhwc"}}, "channels on the axis that pixels.layout nhwc names|windows of 3 px"),
        ({"overlap_px": 60}, "multiple of 8"),
        ({"output": {"form": "torchvision", "builder": "fcos_resnet50_fpn", "classes": 2}}, "training adopt"),
    ],
)
def test_a_contract_that_does_not_fit_the_graph_is_refused(changed: dict[str, Any], why: str, tmp_path: Path) -> None:
    source = write_map(tmp_path / "theirs.onnx")
    folder = tmp_path / "out" / "1.0.0"
    contract = AdoptionContract.model_validate(state_map(**changed))
    with pytest.raises(ModelError, match=why):
        write_version(wrap_network(source, contract), contract, folder, weights="theirs", parameters=1)
    assert not folder.exists()  # so that the next try is not refused


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00.", b"<html></html>", b"\x08\x07" * 400])
def test_a_file_that_is_no_graph_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="no ONNX graph"):
        wrap_network(path, AdoptionContract.model_validate(state_map()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no YAML"),
        ("- a\n- b\n", "states no contract"),
        ("version: 1.0.0\n", "architecture: Field required"),
        ("!!python/object/apply:os.system [true]", "is no YAML"),
    ],
)
def test_a_contract_that_is_none_is_refused_by_field(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    with pytest.raises(RequestError, match=why):
        read_contract(path)


def test_a_threshold_below_what_is_kept_is_refused(tmp_path: Path) -> None:
    path = write_contract(tmp_path / "contract.yaml", state_map(least_probability=0.6))
    with pytest.raises(RequestError, match="must not be above threshold"):
        read_contract(path)


def test_bgr_networks_get_their_channels_in_their_order(tmp_path: Path) -> None:
    source = write_map(tmp_path / "theirs.onnx")
    model = onnx.load(source)
    first = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("layers.0.weight"))
    turned = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(first)[:, ::-1].copy(), first.name)
    first.CopyFrom(turned)
    onnx.save(model, tmp_path / "bgr.onnx")
    rgb = AdoptionContract.model_validate(state_map())
    bgr = AdoptionContract.model_validate(state_map(pixels=state_map()["pixels"] | {"colours": "bgr"}))
    windows = make_windows(rgb)
    one, other = (
        run_graph(wrap_network(source, rgb), windows),
        run_graph(wrap_network(tmp_path / "bgr.onnx", bgr), windows),
    )
    assert np.allclose(one["probabilities"], other["probabilities"], atol=1e-5)


def test_a_folder_of_hugging_face_gives_its_graph_and_licence(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "onnx").mkdir(parents=True)
    write_map(folder / "onnx" / "model.onnx")
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\ntags: [pathology]\n---\n# A model\n")
    (folder / "model.safetensors").write_bytes(b"")
    found = find_weights(folder)
    assert (found.path.name, found.licence) == ("model.onnx", "cc-by-4.0")
    stated = state_map()
    del stated["licence"]
    contract = write_contract(tmp_path / "contract.yaml", stated)
    result = CliRunner().invoke(adopt, [str(folder), "--contract", str(contract), "--out", str(tmp_path / "models")])
    assert result.exit_code == 0, result.output
    assert load_card(tmp_path / "models/points/1.0.0").licence == "cc-by-4.0"
    again = CliRunner().invoke(adopt, [str(folder), "--contract", str(contract), "--out", str(tmp_path / "models")])
    assert again.exit_code == 1
    assert "versions never change" in again.output


def test_which_weights_are_meant_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no weights"):
        find_weights(tmp_path)
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(RequestError, match=r"2 files of weights \(a\.onnx, b\.onnx\): give one"):
        find_weights(tmp_path)
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(RequestError, match="neither a graph"):
        find_weights(tmp_path / "notes.txt")


def test_a_state_dict_is_sent_to_training(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"")
    contract = write_contract(tmp_path / "contract.yaml", state_map())
    result = CliRunner().invoke(adopt, [str(tmp_path / "w.pth"), "--contract", str(contract)])
    assert result.exit_code == 2
    assert "python -m training adopt" in result.output
