"""Bentos install what the package depends on."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]


def bentofile(path: str) -> dict[str, Any]:
    stated: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return stated


def test_bento_and_package_state_the_same_requirements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = project["dependencies"] + project["optional-dependencies"]["s3"]
    assert sorted(bentofile("bentofile.yaml")["python"]["packages"]) == sorted(stated)


@pytest.mark.parametrize("part", ["service", "include", "exclude", "labels"])
def test_the_cuda_bento_holds_the_same(part: str) -> None:
    assert bentofile("deploy/bentofile.cuda.yaml")[part] == bentofile("bentofile.yaml")[part]


def test_the_cuda_bento_differs_in_onnx_runtime_and_what_half_precision_takes() -> None:
    plain, cuda = (bentofile(p)["python"]["packages"] for p in ("bentofile.yaml", "deploy/bentofile.cuda.yaml"))
    assert sorted(p for p in cuda if p not in plain) == ["onnx>=1.17", "onnxruntime-gpu[cuda,cudnn]>=1.31"]
    assert [p for p in plain if p not in cuda] == ["onnxruntime-gpu>=1.20"]
