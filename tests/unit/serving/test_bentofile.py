"""Bentos install what the package depends on."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from bentoml._internal.bento.build_config import BentoPathSpec

from serving.scoring.models import version_order

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


def test_the_bento_holds_the_package_and_the_newest_models_and_no_tests() -> None:
    stated = bentofile("bentofile.yaml")
    spec = BentoPathSpec(stated["include"], stated["exclude"], str(ROOT))
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    held = {path for path in listed if spec.includes(path)}
    assert {path.split("/")[0] for path in held} == {"serving", "models", "pyproject.toml", "README.md", "LICENSE"}
    assert {path for path in listed if path.startswith("serving/")} <= held
    for model in (path for path in (ROOT / "models").iterdir() if path.is_dir()):
        newest = max((path.parent for path in model.glob("*/card.json")), key=lambda folder: version_order(folder.name))
        for file in newest.iterdir():
            assert spec.includes(str(file.relative_to(ROOT))), file
