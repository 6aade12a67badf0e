"""Addresses: what logs, metrics and records may say of a request's, never a caller's words, and this server's as clients see them."""

from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from re import Pattern

from starlette.routing import compile_path
from starlette.types import Scope

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

MAX_PATH_BYTES = 2048
"""Of an address without its query, as it is written: the longest of this server, of a IIIF picture, has some 200. The time that
a template such as {column}_{row} takes to match grows with the square of the length."""


def route_path(scope: Scope) -> str:
    """The address below the path prefix of a proxy: what routes, guards and limits look at, as Starlette's router does."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(prefix) :] if prefix and (path == prefix or path.startswith(f"{prefix}/")) else path


def route_template(scope: Scope) -> str:
    """The template of a request's address, such as /v1/models/{name}; never what the caller wrote."""
    if "route" in scope:
        return str(scope["route"].path)
    if len(scope["path"]) > MAX_PATH_BYTES:
        return "unmatched"
    # Refused before it was routed: its address is looked up among those that the app states.
    paths: Iterable[str] = scope["app"].openapi()["paths"] if "app" in scope else ()
    return next((template for template in paths if matches(template, route_path(scope))), "unmatched")


def bound_method(scope: Scope) -> str:
    """The method, or `other` for one that the server has no use for."""
    return scope["method"] if scope["method"] in METHODS else "other"


def matches(template: str, path: str) -> bool:
    """Whether an address is one of a template's."""
    return _pattern(template).fullmatch(path) is not None


@cache
def _pattern(template: str) -> Pattern[str]:
    return compile_path(template)[0]


root_path: ContextVar[str] = ContextVar("root_path", default="")
"""The prefix of the request that is being answered, such as /mitoserve; empty where there is none."""


def address(path: str) -> str:
    """The address of `path`, one of this server's own, for whoever sent the request that is being answered."""
    return f"{root_path.get()}{path}"
