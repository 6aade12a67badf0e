"""docs/settings.md, made of `serving/settings.py`: `python -m tests.unit.serving.settings_page` writes it again."""

import ast
import re
from itertools import pairwise
from pathlib import Path

from pydantic.fields import FieldInfo

from serving import settings as module
from serving.settings import ServerSettings

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "settings.md"

_HEAD = """# Settings

Environment variables that a server and the command line read when they start. An empty variable counts as absent. A value that
cannot be used ends the start with a message that names the variable. For Research Use Only. Not for use in diagnostic procedures.

This page is written from `serving/settings.py` by `make settings`.

| variable | default | meaning |
|---|---|---|
"""
_TAIL = """
Two variables are not the server's. `MITOSIS_KEY` holds the API key that the client and `mitoserve score --server` show
([client.md](client.md)). `MITOSIS_DATA` names the folder of data sets for training and tests ([datasets.md](datasets.md)).
"""
_FOLDERS = {"models": "those of the package", "state": "`~/.local/state/mitoserve`"}
"""Defaults that depend on the machine."""


def page() -> str:
    """The whole document."""
    stated = ServerSettings.model_fields
    rows = [_row(name, stated[name], text) for name, text in _docstrings().items()]
    return _HEAD + "".join(rows) + _TAIL


def _docstrings() -> dict[str, str]:
    """What stands below each field of `ServerSettings`, on one line."""
    source = Path(module.__file__).read_text()
    (body,) = (
        n.body for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == ServerSettings.__name__
    )
    found = {}
    for stated, below in pairwise(body):
        if isinstance(stated, ast.AnnAssign) and isinstance(stated.target, ast.Name):
            assert isinstance(below, ast.Expr), stated.target.id
            assert isinstance(below.value, ast.Constant), stated.target.id
            found[stated.target.id] = " ".join(str(below.value.value).split())
    return found


def _row(name: str, field: FieldInfo, text: str) -> str:
    variable = f"MITOSIS_{name.upper()}"
    start = f"`{variable}`: "
    assert text.startswith(start), f"what {name} means begins with {start}"
    # The code names its own fields, the page the variables.
    meaning = re.sub(r"`([a-z_]+)`", _variable, text.removeprefix(start)).replace("|", "\\|").replace("<", "&lt;")
    return f"| `{variable}` | {_default(name, field)} | {meaning} |\n"


def _variable(found: re.Match[str]) -> str:
    return f"`MITOSIS_{found[1].upper()}`" if found[1] in ServerSettings.model_fields else found[0]


def _default(name: str, field: FieldInfo) -> str:
    if field.default_factory:
        return _FOLDERS[name]
    value = field.default
    if value is None or value in ((), ""):
        return "none"
    return f"`{int(value)}`" if isinstance(value, float) and value.is_integer() else f"`{value}`"


if __name__ == "__main__":
    DOCUMENT.write_text(page())
