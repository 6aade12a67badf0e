"""The decisions are complete, links lead somewhere, and names that are imported in examples exist."""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADR = ROOT / "docs" / "adr"
RECORDS = sorted(ADR.glob("[0-9]*.md"))


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name[:4])
def test_a_decision_states_status_context_decision_and_alternatives(path: Path) -> None:
    text = path.read_text()
    assert re.match(rf"# {path.name[:4]}\. \S", text)
    assert re.search(r"^- Status: (accepted|proposed|replaced)", text, re.MULTILINE)
    assert re.search(r"^- Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert re.findall(r"^## (\w+)\n\n\S", text, re.MULTILINE) == ["Context", "Decision", "Alternatives"]


def test_the_list_names_every_decision() -> None:
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| ([^|]+) \|", (ADR / "README.md").read_text(), re.MULTILINE)
    stated = [
        (path.name[:4], path.name, path.read_text().split("\n")[0].removeprefix(f"# {path.name[:4]}. "))
        for path in RECORDS
    ]
    assert [(number, name, title.strip()) for number, name, title in listed] == stated


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "ARCHITECTURE.md", "examples/README.md", "docs/glossary.md"])
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    targets = [t for t in re.findall(r"\]\(([^)#]+)", path.read_text()) if "://" not in t]
    assert [t for t in targets if not (path.parent / t).exists()] == []


def shown_code() -> Iterator[tuple[str, str]]:
    """Names and texts of the Python code that documents, notebooks and examples show."""
    for path in (ROOT / "examples").rglob("*.py"):
        yield str(path.relative_to(ROOT)), path.read_text()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        yield path.name, "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        yield path.name, "\n".join(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))


def test_names_that_examples_import_exist() -> None:
    imported = {
        (name, node.module, alias.name)
        for name, code in shown_code()
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] in {"serving", "training", "mitoserve"}
        for alias in node.names
    }
    assert len({name for name, _, _ in imported}) > 3
    assert [
        (name, module, asked)
        for name, module, asked in sorted(imported)
        if not hasattr(importlib.import_module(str(module)), asked)
    ] == []
