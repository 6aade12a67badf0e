"""Whose slides and analyses a request is about."""

from starlette.requests import Request

from serving.api.problems import QuotaError
from serving.store.slides import SlideStore

LOCAL = "local"
"""Owner of everything on a server without access control."""


def owner_of(request: Request) -> str:
    """Who owns what the request creates."""
    principal = getattr(request.state, "principal", None)
    return LOCAL if principal is None else str(principal.id)


def scope_of(request: Request) -> str | None:
    """Whose things the request sees; None for everybody's, which administrators and servers without access control see."""
    principal = getattr(request.state, "principal", None)
    return None if principal is None or principal.may("admin") else str(principal.id)


def check_quota(request: Request, store: SlideStore, more: int) -> None:
    """Make sure that the owner may keep `more` bytes.

    Raises
    ------
    QuotaError
        If not.
    """
    quota = getattr(getattr(request.state, "principal", None), "disk_quota_bytes", None)
    if quota is not None and store.bytes_of(owner_of(request)) + more > quota:
        raise QuotaError(f"your slides may take {quota} bytes here; delete some with DELETE /v1/slides/ID")
