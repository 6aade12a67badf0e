"""JSON files are read, or named with their first wrong key in one line."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from serving.datasets.documents import read_document
from serving.datasets.import_report import FormatError


class Count(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    figures: list[int]


GOOD = {"name": "a", "figures": [1, 2]}


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_document_is_read(tmp_path: Path, name: str) -> None:
    content = json.dumps(GOOD).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read_document(tmp_path / name, Count) == Count(name="a", figures=[1, 2])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "file: Invalid JSON"),
        (b'{"name": "a", "fig', "file: Invalid JSON"),
        (b"[1]", "file: Input should be an object"),
        (json.dumps({"name": "a"}).encode(), "figures: Field required"),
        (json.dumps(GOOD | {"figures": [1, "many"]}).encode(), "figures.1: Input should be a valid integer"),
        (json.dumps(GOOD | {"count": 3}).encode(), "count: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(FormatError) as refusal:
        read_document(path, Count)
    assert str(refusal.value).startswith(f"{path}: {said}")
    assert "\n" not in str(refusal.value)


@given(content=st.binary(max_size=200), name=st.sampled_from(["a.json", "a.json.gz"]))
def test_other_bytes_are_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    path = tmp_path_factory.mktemp("documents") / name
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.json"):
        read_document(path, Count)
