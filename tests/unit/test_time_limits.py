"""No limit inside a test is one that a busy or a quick machine breaks: all wait `LONGEST_S`, and no time is asserted."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.limits import LONGEST_S

TESTS = Path(__file__).parents[1]
REQUESTS = {"Client", "AsyncClient", "get", "post", "put", "patch", "delete", "request", "stream", "head", "options"}
"""Of httpx, which waits for 5 s where nothing is stated."""
WAITS = {"wait", "join", "result"}
MODEL_LIMITS = {"window_s", "model_window_s"}
"""Keywords that say what a window may take."""
CLOCKS = {"monotonic", "perf_counter", "process_time"}
MEASURED = {"window_s", "seconds"}
"""Attributes that state what something took."""
ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
SHORT_S = 2.0
"""Shorter ones say that something does not happen, or is looked at again."""


def is_number(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, int | float)


def is_breakable(value: ast.expr) -> bool:
    return is_number(value) and SHORT_S <= ast.literal_eval(value) < LONGEST_S


def reads_clock(value: ast.expr) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in CLOCKS for node in ast.walk(value))


def is_measured(value: ast.expr) -> bool:
    """Whether it is what something took: a clock less an earlier time, or an attribute that states it."""
    if isinstance(value, ast.BinOp):
        return isinstance(value.op, ast.Sub) and reads_clock(value.left)
    return isinstance(value, ast.Attribute) and value.attr in MEASURED


def asserts_time(node: ast.Compare) -> bool:
    """Whether it holds what something took against a number above 0, or against what something else took."""
    if not all(isinstance(operator, ORDERS) for operator in node.ops):
        return False
    sides = [node.left, *node.comparators]
    others = [side for side in sides if not is_measured(side)]
    return len(others) < len(sides) and (
        not others or any(isinstance(side, ast.Constant) and bool(side.value) for side in others)
    )


def list_breakable_limits(tree: ast.Module) -> Iterator[int]:
    """Lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and asserts_time(node):
            yield node.lineno
        if isinstance(node, ast.BinOp) and "monotonic()" in ast.unparse(node.left) and is_breakable(node.right):
            yield node.lineno
        if not isinstance(node, ast.Call):
            continue
        stated = {keyword.arg: keyword.value for keyword in node.keywords}
        if "timeout" in stated and is_breakable(stated["timeout"]):
            yield node.lineno
        if any(is_number(stated[limit]) for limit in MODEL_LIMITS & stated.keys()):
            yield node.lineno
        if not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in WAITS and len(node.args) == 1 and is_breakable(node.args[0]):
            yield node.lineno
        of_httpx = isinstance(node.func.value, ast.Name) and node.func.value.id == "httpx"
        if of_httpx and node.func.attr in REQUESTS and not stated.keys() & {"timeout", None}:
            yield node.lineno


def test_no_limit_is_one_that_a_machine_breaks() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in list_breakable_limits(ast.parse(path.read_text()))
    ]
    assert found == []


def test_limits_are_seen() -> None:
    breakable = [
        "httpx.get('a')",
        "httpx.get('a', timeout=5)",
        "run(timeout=30)",
        "entered.wait(30)",
        "time.monotonic() + 30",
        "check(model, window_s=0.01)",
        "assert time.process_time() - started < 60",
        "assert 0 < found.window_s < 10",
        "assert ours.seconds > theirs.seconds",
    ]
    safe = [
        "quiet.wait(0.2)",
        "', '.join(names)",
        "check(model, window_s=LONGEST_S)",
        "assert time.monotonic() < deadline",
        "assert 0 < found.window_s",
    ]
    assert [code for code in breakable + safe if list(list_breakable_limits(ast.parse(code)))] == breakable
