"""Every intended error has an answer: its class states a kind, and each kind has a status and a title."""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import serving
from serving.api.problems import KINDS, problem
from serving.core.errors import MitoserveError

ROOT = Path(serving.__file__).parents[1]
WITHOUT_A_CLASS = {"disk-full"}
"""The kind of an error of the system."""


def error_classes() -> Iterator[type[MitoserveError]]:
    """The base and all its descendants in the package, once each."""
    for path in sorted((ROOT / "serving").rglob("*.py")):
        if re.search(r"^class \w+Error\(", path.read_text(), re.MULTILINE):
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found, waiting = {MitoserveError}, [MitoserveError]
    while waiting:
        below = {kind for kind in waiting.pop().__subclasses__() if kind.__module__.startswith("serving.")} - found
        found |= below
        waiting += below
    yield from sorted(found, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def test_every_error_states_its_kind_and_has_an_answer() -> None:
    for error in error_classes():
        assert "slug" in vars(error), f"{error.__name__} does not state its kind itself"
        answer, kind = problem(error.slug, "what is wrong"), KINDS[error.slug]
        document = json.loads(bytes(answer.body))
        assert (answer.status_code, document["status"], document["title"]) == (kind.status, kind.status, kind.title)
        assert document["type"] == f"urn:mitoserve:problem:{error.slug}"
        assert answer.media_type == "application/problem+json"


def test_no_kind_is_left_over() -> None:
    assert set(KINDS) - {error.slug for error in error_classes()} == WITHOUT_A_CLASS


def test_titles_and_names_tell_kinds_apart() -> None:
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
