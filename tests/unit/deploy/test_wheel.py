"""The wheel holds one release of the models; an editable install copies none."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project that is built as this one is, with models of several versions."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for package in ("serving", "training"):
        (tmp_path / package).mkdir()
        shutil.copy(ROOT / "serving" / "__init__.py", tmp_path / package / "__init__.py")
    for version in ("1.9.0", "1.10.0", "1.2.2", "0.12.7"):
        for name in ("det", "reg-ns"):
            folder = tmp_path / "models" / name / version
            folder.mkdir(parents=True)
            for file in ("card.json", "model.onnx", "parity.npz"):
                (folder / file).write_text(version)
    (tmp_path / "models" / "verifier" / "1.0.0").mkdir(parents=True)
    (tmp_path / "models" / "verifier" / "1.0.0" / "card.json").write_text("1.0.0")
    (tmp_path / "models" / "card.schema.json").write_text("{}")
    return tmp_path


def build(project: Path, version: str) -> set[str]:
    """Names of the files of a wheel of a kind."""
    code = f"from hatchling.builders.wheel import WheelBuilder\nprint(*WheelBuilder('.').build(directory='dist', versions=['{version}']))"
    made = subprocess.run([sys.executable, "-c", code], cwd=project, stdout=subprocess.PIPE, text=True, check=True)
    with zipfile.ZipFile(project / made.stdout.split()[-1]) as wheel:
        return set(wheel.namelist())


def test_the_wheel_holds_the_newest_version_of_each_model(project: Path) -> None:
    held = {name.removeprefix("serving/_models/") for name in build(project, "standard") if "_models" in name}
    newest = {
        f"{name}/1.10.0/{file}" for name in ("det", "reg-ns") for file in ("card.json", "model.onnx", "parity.npz")
    }
    assert held == newest | {"verifier/1.0.0/card.json", "card.schema.json"}


def test_an_editable_install_copies_no_models(project: Path) -> None:
    assert not [name for name in build(project, "editable") if "models" in name]
