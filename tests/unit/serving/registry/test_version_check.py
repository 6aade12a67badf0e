"""Models that must not serve, each refused for its own reason."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from onnx import TensorProto, helper, numpy_helper

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from serving.registry.version_check import VersionCheck, check_version
from tests.fakes import make_cards, make_verifier_card
from tests.limits import LONGEST_S
from tests.quick_models import OPSET, quick_detection, quick_screening, restate, write_quick_model

CPU = ["CPUExecutionProvider"]
REGNS, DET = make_cards()


def check(folder: Path, *, window_s: float = LONGEST_S, **options: Any) -> VersionCheck:
    return check_version(folder, window_s=window_s, providers=CPU, **options)


@pytest.fixture
def det(tmp_path: Path) -> Path:
    return write_quick_model(tmp_path, DET, quick_detection())


def test_good_models_pass_with_what_was_found(tmp_path: Path, det: Path) -> None:
    found = check(det)
    assert (found.name, found.version, found.opset, found.signer) == ("det", "0.0.1", OPSET, None)
    assert found.parity == {"boxes": 0.0, "probabilities": 0.0}
    assert found.window_s > 0
    assert set(check(write_quick_model(tmp_path, REGNS, quick_screening(60))).parity) == {"scores"}
    verifier = make_verifier_card()
    assert set(check(write_quick_model(tmp_path, verifier, _verifier(64), window=64)).parity) == {"probabilities"}


def test_a_corrupted_model(det: Path) -> None:
    weights = bytearray((det / "model.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (det / "model.onnx").write_bytes(weights)
    with pytest.raises(ModelError, match=r"model.onnx has SHA-256 .* its card states"):
        check(det)


def test_a_graph_that_is_none(det: Path) -> None:
    (det / "model.onnx").write_bytes(b"\x00not a graph")
    with pytest.raises(ModelError, match="is not an ONNX graph"):
        check(restate(det, load_card_unchecked(det)))


def test_inputs_or_outputs_of_other_names_types_or_axes(tmp_path: Path) -> None:
    folder = write_quick_model(tmp_path, REGNS, quick_screening(60))
    (folder / "model.onnx").write_bytes(_bytes(quick_detection()))
    with pytest.raises(ModelError, match="breaks the serving contract: inputs are"):
        check(restate(folder, REGNS))


def test_windows_of_another_size_than_the_card_states(tmp_path: Path) -> None:
    folder = write_quick_model(tmp_path, make_verifier_card(), _verifier(96), window=96)
    with pytest.raises(ModelError, match="takes windows of 96 x 96 px, its card states 64"):
        check(folder)


def test_outputs_of_another_shape(tmp_path: Path) -> None:
    """The stride inside the graph is half of the card's, so it gives about four times as many scores."""
    folder = write_quick_model(tmp_path, REGNS, quick_screening(60, stride=62))
    with pytest.raises(ModelError, match=r"gives scores of shape \(1, 5, 5\) for .* must be \(1, 3, 3\)"):
        check(folder)


@pytest.mark.parametrize("opset", [16, 22])
def test_another_opset(tmp_path: Path, opset: int) -> None:
    folder = write_quick_model(tmp_path, make_verifier_card(), _verifier(64, opset=opset), opset=opset, window=64)
    with pytest.raises(ModelError, match=f"uses opset {opset}; 17 to 21 are served"):
        check(folder)


def test_a_model_that_gives_nan(tmp_path: Path) -> None:
    """On black windows alone, which its own sample does not show."""
    folder = write_quick_model(tmp_path, make_verifier_card(), _verifier(64, divide=True), window=64)
    with pytest.raises(ModelError, match="gives probabilities that are not finite"):
        check(folder)


def test_a_model_that_answers_otherwise_than_where_it_was_made(det: Path) -> None:
    with np.load(det / "parity.npz") as sample:
        arrays = dict(sample)
    arrays["probabilities"] = arrays["probabilities"] + np.float32(0.02)
    np.savez_compressed(det / "parity.npz", **arrays)
    with pytest.raises(ModelError, match=r"fails parity here: probabilities are 0.02 from .* 0.005 is allowed"):
        check(restate(det, DET))


def test_a_model_without_a_sample(det: Path) -> None:
    card = load_card(det)
    stated = card.model_copy(update={"files": {"model.onnx": card.files["model.onnx"]}})
    (det / "card.json").write_text(stated.model_dump_json())
    with pytest.raises(ModelError, match=r"ships without parity\.npz"):
        check(det)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off", b"text"])
def test_a_damaged_sample(det: Path, damage: bytes) -> None:
    (det / "parity.npz").write_bytes(damage)
    with pytest.raises(ModelError, match=r"parity.npz cannot be read"):
        check(restate(det, DET))


def test_a_slow_model(tmp_path: Path) -> None:
    folder = write_quick_model(tmp_path, make_verifier_card(), _verifier(64), window=64)
    allowed = check(folder).window_s / 1000
    with pytest.raises(
        ModelError, match=rf"too slow here: .* s a window, and MITOSIS_MODEL_WINDOW_S allows {allowed:g}"
    ):
        check(folder, window_s=allowed)


def test_signatures(tmp_path: Path, det: Path) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    signers = [_public(key, tmp_path / "ann.pem")]
    with pytest.raises(ModelError, match=r"is not signed: card.json.sig is missing, and MITOSIS_MODEL_SIGNERS"):
        check(det, signers=signers)
    (det / "card.json.sig").write_bytes(other.sign((det / "card.json").read_bytes()))
    with pytest.raises(ModelError, match="was made by none of the keys"):
        check(det, signers=signers)
    (det / "card.json.sig").write_bytes(key.sign((det / "card.json").read_bytes()))
    assert check(det, signers=[_public(other, tmp_path / "bob.pem"), *signers]).signer == "ann.pem"
    (det / "card.json").write_bytes((det / "card.json").read_bytes() + b"\n")
    with pytest.raises(ModelError, match="was made by none of the keys"):
        check(det, signers=signers)
    (tmp_path / "ann.pem").write_text("no key")
    with pytest.raises(ModelError, match=r"the key .*ann.pem of MITOSIS_MODEL_SIGNERS cannot be read"):
        check(det, signers=signers)


def load_card_unchecked(folder: Path) -> ModelCard:
    return ModelCard.model_validate_json((folder / "card.json").read_bytes())


def _public(key: Ed25519PrivateKey, path: Path) -> Path:
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def _bytes(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return bytes(model.SerializeToString())


def _verifier(side: int, *, opset: int = OPSET, divide: bool = False) -> onnx.GraphProto:
    """How bright a window is. `divide`: by itself, which is NaN for black."""
    constants: dict[str, Any] = {"white": np.float32(255), "axes": np.asarray([1, 2, 3], np.int64)}
    if opset >= 18:
        mean = helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0)
    else:
        del constants["axes"]
        mean = helper.make_node("ReduceMean", ["float"], ["mean"], keepdims=0, axes=[1, 2, 3])
    nodes = [
        helper.make_node("Cast", ["windows"], ["float"], to=TensorProto.FLOAT),
        mean,
        helper.make_node("Div", ["mean", "mean" if divide else "white"], ["probabilities"]),
    ]
    return helper.make_graph(
        nodes,
        "quick-verifier",
        [helper.make_tensor_value_info("windows", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
