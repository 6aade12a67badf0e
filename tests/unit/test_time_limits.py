"""No limit inside a test is one that a busy machine breaks: all wait `LONGEST_S`."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.limits import LONGEST_S

TESTS = Path(__file__).parents[1]
REQUESTS = {"Client", "AsyncClient", "get", "post", "put", "patch", "delete", "request", "stream", "head", "options"}
"""Of httpx, which waits for 5 s where nothing is stated."""
WAITS = {"wait", "join", "result"}
SHORT_S = 2.0
"""Shorter ones say that something does not happen, or is looked at again."""


def is_breakable(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Constant) and isinstance(value.value, int | float) and SHORT_S <= value.value < LONGEST_S
    )


def list_breakable_limits(tree: ast.Module) -> Iterator[int]:
    """Lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and "monotonic()" in ast.unparse(node.left) and is_breakable(node.right):
            yield node.lineno
        if not isinstance(node, ast.Call):
            continue
        stated = {keyword.arg: keyword.value for keyword in node.keywords}
        if "timeout" in stated and is_breakable(stated["timeout"]):
            yield node.lineno
        if not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in WAITS and len(node.args) == 1 and is_breakable(node.args[0]):
            yield node.lineno
        of_httpx = isinstance(node.func.value, ast.Name) and node.func.value.id == "httpx"
        if of_httpx and node.func.attr in REQUESTS and not stated.keys() & {"timeout", None}:
            yield node.lineno


def test_no_limit_is_one_that_a_busy_machine_breaks() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in list_breakable_limits(ast.parse(path.read_text()))
    ]
    assert found == []


def test_limits_are_seen() -> None:
    code = "httpx.get('a')\nhttpx.get('a', timeout=5)\nrun(timeout=30)\nentered.wait(30)\nquiet.wait(0.2)\n', '.join(names)\ntime.monotonic() + 30"
    assert list(list_breakable_limits(ast.parse(code))) == [1, 2, 3, 4, 7]
