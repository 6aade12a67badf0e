"""What is imported is declared, and what is declared is used."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"benchmarks", "examples", "mitoserve", "serving", "tests", "training"}

NOT_IMPORTED = {
    "imagecodecs": "tifffile decodes through it",
    "openslide-bin": "the library that openslide-python loads",
    "psycopg": "SQLAlchemy's driver, named in an address",
    "tensorboard": "torch writes its logs through it",
    "opentelemetry-exporter-otlp-proto-http": "imported below the shared name opentelemetry",
    "opentelemetry-sdk": "imported below the shared name opentelemetry",
}
"""Dependencies of the packages that no module imports by a name of their own."""

PEERS = {"cellvit", "lazyslide", "tiatoolbox", "wsidata", "wsinfer", "wsinfer_zoo", "zarr"}
"""Other projects' tools, which the benchmarks run in environments of their own."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return {normal(re.split(r"[\s\[<>=;!~]", line)[0]) for one in lists for line in one}


def imports(folder: str) -> Iterator[str]:
    """Names at the top of every import below a folder that are neither ours nor the standard library's."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            else:
                continue
            yield from {module.split(".")[0] for module in modules} - OURS - sys.stdlib_module_names


def distributions(names: set[str]) -> dict[str, set[str]]:
    """The distributions that may give each name; its own name where nothing that is installed does."""
    known = packages_distributions()
    return {name: {normal(distribution) for distribution in known.get(name, [name])} for name in names}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("mitoserve", []),
        ("serving", ["cohort", "dicom", "gpu", "int8", "openvino", "parquet", "pdf", "s3", "zarr"]),
        ("training", ["train", "cohort"]),
        ("tests", ["train", "dev"]),
        ("benchmarks", ["train", "dev"]),
        ("examples", []),
    ],
)
def test_every_import_is_declared(folder: str, extras: list[str]) -> None:
    found = distributions(set(imports(folder)) - PEERS)
    assert {name for name, given in found.items() if not given & declared(*extras)} == set()


def test_every_dependency_of_the_packages_is_imported() -> None:
    names = {name for folder in ("mitoserve", "serving", "training") for name in imports(folder)}
    used = {one for given in distributions(names).values() for one in given}
    lazily = {"highdicom", "pyarrow", "reportlab"}  # asked for by name where a format needs them
    stated = declared("cohort", "dicom", "gpu", "int8", "openvino", "parquet", "pdf", "s3", "train", "zarr")
    assert stated - used - lazily - set(NOT_IMPORTED) == set()


def test_every_dependency_has_a_pinned_version() -> None:
    pinned = {
        normal(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    assert declared(*PROJECT["optional-dependencies"]) - pinned == set()


def test_every_pinned_version_takes_the_oldest_python_of_a_system() -> None:
    """Debian 12 has Python 3.11.2; a pin that asks for a later 3.11 makes the whole installation impossible there."""
    asked = {one.name: one.metadata["Requires-Python"] for one in metadata.distributions()}
    assert {name: text for name, text in asked.items() if text and not SpecifierSet(text).contains("3.11.2")} == {}
