"""The opset by our own reading, against the onnx package."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from serving.core.errors import ModelError
from serving.registry.opset import read_opset
from serving.settings import default_models
from tests.quick_models import quick_detection


@given(st.integers(1, 300), st.lists(st.sampled_from(["ai.onnx.ml", "com.microsoft", "x"]), unique=True))
def test_it_is_what_onnx_wrote(tmp_path_factory: pytest.TempPathFactory, opset: int, others: list[str]) -> None:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    imports = [*(helper.make_opsetid(domain, 3) for domain in others), helper.make_opsetid("", opset)]
    path.write_bytes(helper.make_model(quick_detection(), opset_imports=imports).SerializeToString())
    assert read_opset(path) == opset


def test_the_released_models_state_theirs() -> None:
    assert {read_opset(path) for path in default_models().glob("*/*/model.onnx")} == {17}


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_or_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "model.onnx"
    path.write_bytes(content)
    with contextlib.suppress(ModelError):
        assert read_opset(path) >= 0
