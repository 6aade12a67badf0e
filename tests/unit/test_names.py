"""Names are plain and unique: docs/glossary.md has one word for each concept, and retired words do not come back."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("mitoserve", "serving", "training")

RETIRED = {
    "arriving": "incoming",
    "apart": "subprocess",
    "bout": "rounds",
    "bury": "requeue",
    "checkup": "version check",
    "contestant": "tool",
    "crew": "worker pool, worker registry",
    "doorkeeper": "authenticator",
    "eight bits": "int8",
    "ground": "environment, inputs",
    "heart": "heartbeat",
    "insist": "retry until committed",
    "instant": "zero cost",
    "keeping": "blob store",
    "shelf": "model store",
    "strays": "orphans",
}
"""Words that were names once, and what is said now."""


def modules(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(path.read_text())


def words(name: str) -> str:
    """`IncomingBytes` and `incoming_bytes` as ` incoming bytes `."""
    return f" {re.sub(r'(?<=[a-z0-9])(?=[A-Z])|_', ' ', name).strip().lower()} "


def test_no_public_class_name_is_given_twice() -> None:
    found = defaultdict(list)
    for module, tree in modules(*PACKAGES):
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


def test_classes_and_modules_have_no_retired_name() -> None:
    found = []
    for module, tree in modules(*PACKAGES, "benchmarks"):
        names = [module.rpartition(".")[2], *(node.name for node in tree.body if isinstance(node, ast.ClassDef))]
        found += [
            f"{module}: {name}: say {RETIRED[old]}" for name in names for old in RETIRED if f" {old} " in words(name)
        ]
    assert found == []


def test_no_function_is_called_of() -> None:
    found = [
        f"{module}.{node.name}"
        for module, tree in modules(*PACKAGES)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.name.endswith("_of") or node.name == "of")
    ]
    assert found == [], "functions are verbs: say what it does, such as read_, find_, make_"


@pytest.mark.parametrize(
    "word", ["slide", "tile", "sub-tile", "cascade", "analysis", "worker", "heartbeat", "blob", "store"]
)
def test_the_glossary_has_the_words_of_the_code(word: str) -> None:
    assert re.search(rf"^\| [^|]*\b{word}\b", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
