"""Addresses as clients see them: below the path prefix under which a proxy offers this server."""

from contextvars import ContextVar

root_path: ContextVar[str] = ContextVar("root_path", default="")
"""The prefix of the request that is being answered, such as /mitoserve; empty where there is none."""


def address(path: str) -> str:
    """The address of `path`, one of this server's own, for whoever sent the request that is being answered."""
    return f"{root_path.get()}{path}"
