import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from serving.core.errors import ModelError
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from serving.settings import default_models
from tests.fakes import make_cards
from tests.quick_models import write_quick_models

CPU = ["CPUExecutionProvider"]


def _release(root: Path, name: str, graph: onnx.GraphProto) -> None:
    folder = root / name / "0.1.0"
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    weights = model.SerializeToString()
    (folder / "model.onnx").write_bytes(weights)
    card = make_cards()[name == "det"].model_copy(update={"files": {"model.onnx": hashlib.sha256(weights).hexdigest()}})
    (folder / "card.json").write_text(card.model_dump_json())


def _regns(*, output: str = "scores", kind: int = TensorProto.FLOAT, rank: int = 3) -> onnx.GraphProto:
    """A graph with the inputs and outputs of Reg-NS: the mean of each row's pixels, cast to `kind`."""
    axes = helper.make_node("ReduceMean", ["wide"], ["mean"], axes=list(range(rank, 4)), keepdims=0)
    nodes = [
        helper.make_node("Cast", ["tiles"], ["wide"], to=TensorProto.FLOAT),
        axes,
        helper.make_node("Cast", ["mean"], [output], to=kind),
    ]
    tiles = helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["n", "h", "w", 3])
    return helper.make_graph(nodes, "g", [tiles], [helper.make_tensor_value_info(output, kind, [None] * rank)])


@pytest.mark.parametrize(
    "broken", [_regns(output="score"), _regns(kind=TensorProto.DOUBLE), _regns(rank=2)], ids=["name", "type", "rank"]
)
def test_a_graph_that_breaks_the_contract_is_refused_by_what_it_has(tmp_path: Path, broken: onnx.GraphProto) -> None:
    _release(tmp_path, "reg-ns", broken)
    _release(tmp_path, "det", _regns())
    with pytest.raises(ModelError, match=r"reg-ns 0\.0\.1 breaks the serving contract: outputs are"):
        load_cascade(newest_release(tmp_path), providers=CPU)


def test_each_model_is_held_to_its_own_contract(tmp_path: Path) -> None:
    for name in ("reg-ns", "det"):
        _release(tmp_path, name, _regns())
    with pytest.raises(ModelError, match=r"det 0\.0\.1 breaks the serving contract: inputs are"):
        load_cascade(newest_release(tmp_path), providers=CPU)


def test_a_stopped_copy_ends_inside_a_tile_and_the_models_go_on() -> None:
    detector = load_cascade(newest_release(default_models()))
    copy, stop = detector.stoppable()
    small = np.full((1, 250, 250, 3), 200, np.uint8)
    assert np.array_equal(copy.screen(small), detector.screen(small))
    threading.Timer(0.2, stop).start()
    with pytest.raises(Exception, match="terminate flag"):
        copy.screen(np.full((1, 20_000, 1250, 3), 200, np.uint8))  # minutes of work, which an answer would end
    assert detector.screen(small).shape == (1, 1, 1)


def test_engines_of_tensorrt_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT is not here: what ONNX Runtime is asked for is, and the CPU answers."""
    models = write_quick_models(tmp_path / "models")
    real = onnxruntime.InferenceSession
    asked: list[list[Any]] = []

    def session(path: object, options: object, providers: list[Any]) -> onnxruntime.InferenceSession:
        asked.append(providers)
        return real(path, options, providers=CPU)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider", *CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    load_cascade(newest_release(models), providers=["TensorrtExecutionProvider", *CPU])
    (name, options), other = asked[0]
    assert (name, other) == ("TensorrtExecutionProvider", *CPU)
    assert options["trt_engine_cache_enable"] == "1"
    assert Path(options["trt_engine_cache_path"]).is_relative_to(tmp_path)
    assert Path(options["trt_engine_cache_path"]).is_dir()
