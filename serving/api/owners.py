"""Whose slides and analyses a request is about."""

from starlette.requests import Request

from serving.access.principal import Principal
from serving.api.problems import QuotaError
from serving.store.slides import SlideStore


def owner_of(request: Request) -> str:
    """Who owns what the request creates."""
    return _principal(request).id


def scope_of(request: Request) -> str | None:
    """Whose things the request sees; None for everybody's, which administrators see."""
    principal = _principal(request)
    return None if principal.may("admin") else principal.id


def check_quota(request: Request, store: SlideStore, more: int) -> None:
    """Make sure that the owner may keep `more` bytes.

    Raises
    ------
    QuotaError
        If not.
    """
    principal = _principal(request)
    quota = principal.disk_quota_bytes
    if quota is not None and store.bytes_of(principal.id) + more > quota:
        raise QuotaError(f"your slides may take {quota} bytes here; delete some with DELETE /v1/slides/ID")


def _principal(request: Request) -> Principal:
    """Whom the guard let in; it lets nobody past without."""
    principal: Principal = request.state.principal
    return principal
