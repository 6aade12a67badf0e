"""What others rely on, the HTTP routes, the report and the model card, changes by additions alone.

The files beside this one are the contracts as they were published. A change that is meant to break them raises the contract's
major version (docs/versioning.md) and replaces its file here.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.api.app import create_app
from serving.settings import ServerSettings

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
WORDS = frozenset({"description", "title", "summary", "example", "examples"})
NAMED = frozenset({"properties", "$defs", "schemas", "paths", "responses"})
"""Their keys are names, not keywords."""


def find_losses(old: Any, new: Any, where: str = "", *, names: bool = False) -> Iterator[str]:
    """Where `new` allows or promises less than `old`; additions and words are no loss."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _losses_of_object(old, new, where, names=names)
    elif isinstance(old, list) and isinstance(new, list):
        for number, item in enumerate(old):
            if not any(not list(find_losses(item, other)) for other in new):
                yield f"{where}/{number}: {json.dumps(item)[:120]} is gone"
    elif old != new:
        yield f"{where}: {old!r} became {new!r}"


def _losses_of_object(old: dict[str, Any], new: dict[str, Any], where: str, *, names: bool) -> Iterator[str]:
    if not names and "anyOf" in new and "anyOf" not in old:
        # A value that may be of further kinds too.
        rest = {key: value for key, value in new.items() if key != "anyOf"}
        if all(list(find_losses(old, {**rest, **kind})) for kind in new["anyOf"]):
            yield f"{where}: no kind is as it was"
        return
    for key, value in old.items():
        if key in WORDS and not names:
            continue
        if key == "default" and where.endswith("/schema_version"):  # its second number rises with additions
            continue
        if key not in new:
            yield f"{where}/{key} is gone"
        elif key == "required" and isinstance(value, list):
            yield from _losses_of_required(old, new, where)
        else:
            yield from find_losses(value, new[key], f"{where}/{key}", names=key in NAMED and not names)
    if "properties" not in old and new.get("required") is True and old.get("required") is not True:
        yield f"{where}: is required now"


def _losses_of_required(old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    """A field that was there may neither stop being promised nor be asked for where it was not."""
    known = set(old.get("properties", {}))
    for name in sorted((set(old["required"]) ^ set(new["required"])) & known):
        yield f"{where}/required: {name}"


def _published(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text())


def _present(name: str, state: Path) -> Any:
    if name == "openapi":
        return json.loads(json.dumps(create_app(ServerSettings(state=state)).openapi()))
    return json.loads(
        (ROOT / {"report": "serving/report", "card": "models/card"}[name]).with_suffix(".schema.json").read_text()
    )


@pytest.mark.parametrize("name", ["openapi", "report", "card"])
def test_a_contract_changes_by_additions_alone(name: str, tmp_path: Path) -> None:
    assert list(find_losses(_published(name), _present(name, tmp_path))) == []


def test_new_parameters_of_a_route_are_not_required(tmp_path: Path) -> None:
    old, new = _published("openapi")["paths"], _present("openapi", tmp_path)["paths"]
    for path, operations in old.items():
        for method, operation in operations.items():
            known = {(p["in"], p["name"]) for p in operation.get("parameters", ())}
            asked = {(p["in"], p["name"]) for p in new[path][method].get("parameters", ()) if p.get("required")}
            assert asked <= known, f"{method} {path}"


def test_what_a_request_must_state_does_not_grow(tmp_path: Path) -> None:
    old, new = (d["components"]["schemas"] for d in (_published("openapi"), _present("openapi", tmp_path)))
    asked = set(_referenced(_published("openapi")["paths"], inside=False))
    for name in asked & set(old):
        assert set(new[name].get("required", ())) <= set(old[name].get("required", ())), name


def _referenced(node: Any, *, inside: bool) -> Iterator[str]:
    """Names of the schemas of request bodies."""
    if isinstance(node, dict):
        if inside and "$ref" in node:
            yield node["$ref"].rsplit("/", 1)[-1]
        for key, value in node.items():
            yield from _referenced(value, inside=inside or key == "requestBody")
    elif isinstance(node, list):
        for item in node:
            yield from _referenced(item, inside=inside)


def test_losses_are_found() -> None:
    old = _published("report")
    for change in (_without_a_property, _of_another_type, _with_fewer_values, _no_longer_promised):
        new = copy.deepcopy(old)
        change(new)
        assert list(find_losses(old, new)), change.__name__
    assert not list(find_losses(old, {**copy.deepcopy(old), "more": 1}))


def _without_a_property(schema: dict[str, Any]) -> None:
    schema["properties"].pop(next(iter(schema["properties"])))


def _of_another_type(schema: dict[str, Any]) -> None:
    definition = next(d for d in schema["$defs"].values() if any("type" in p for p in d.get("properties", {}).values()))
    next(p for p in definition["properties"].values() if "type" in p)["type"] = "null"


def _with_fewer_values(schema: dict[str, Any]) -> None:
    next(_enumerations(schema)).pop()


def _no_longer_promised(schema: dict[str, Any]) -> None:
    schema["required"].pop()


def _enumerations(node: Any) -> Iterator[list[Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("enum"), list):
            yield node["enum"]
        for value in node.values():
            yield from _enumerations(value)
    elif isinstance(node, list):
        for item in node:
            yield from _enumerations(item)
