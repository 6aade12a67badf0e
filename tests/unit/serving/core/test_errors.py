"""Every exception of `serving` is in one tree, so that whoever calls gets its kind; the few others stay where they are raised."""

import ast
import builtins
from collections.abc import Iterator, Mapping
from pathlib import Path

import serving

SERVING = Path(serving.__file__).parent
ROOT = "MitoserveError"
OUTSIDE: Mapping[str, str] = {
    "DamagedError": "the stores catch it, and say which slide, result or checkpoint is lost",
    "DecoderDiedError": "the slide starts another process, and raises DecoderError where that dies, too",
    "FormatError": "the labelled folder says it as RequestError; training stops with its message",
    "LeaseLostError": "ends the work on an analysis that is somebody else's now: there is nobody to tell",
    "MemoryShortError": "the slide starts a process with more memory, and raises SlideTooLargeError where there is no more",
    "PictureMemoryError": "the decoder tells the slide by it how much memory would do, which becomes MemoryShortError",
    "StoppedError": "ends the work on an analysis that goes on when the worker is back: there is nobody to tell",
}
"""Exceptions that reach no caller, and what becomes of them."""


def classes() -> Iterator[ast.ClassDef]:
    """All classes of the package, wherever in a module they are defined."""
    for path in sorted(SERVING.rglob("*.py")):
        yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))


def base_names(node: ast.ClassDef) -> set[str]:
    """Last names of a class's bases, as they are written."""
    return {ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases}


def is_exception(name: str) -> bool:
    """Whether a class of Python or of another package is one, which the latter's name says."""
    own = getattr(builtins, name, None)
    return (isinstance(own, type) and issubclass(own, BaseException)) or name.endswith(("Error", "Exception", "Exit"))


def descendants(of: set[str], bases: Mapping[str, set[str]]) -> set[str]:
    """Classes that have one of these among their bases, or the bases of their bases."""
    found: set[str] = set()
    while more := {name for name, above in bases.items() if above & (of | found)} - found:
        found |= more
    return found


def test_exceptions_are_in_the_tree_or_reach_no_caller() -> None:
    bases = {node.name: base_names(node) for node in classes()}
    foreign = {name for above in bases.values() for name in above if name not in bases and is_exception(name)}
    exceptions = descendants(foreign, bases)
    tree = descendants({ROOT}, bases) | {ROOT}
    assert len(tree) > 50
    assert tree <= exceptions
    assert exceptions - tree == set(OUTSIDE), (
        f"derive it from {ROOT}, with a slug; or list it, if it never leaves its package"
    )
    assert {name for name in exceptions if not name.endswith("Error")} == set()
