"""Whose slides and analyses a request is about."""

from starlette.requests import Request

from serving.access.principal import Principal


def request_owner(request: Request) -> str:
    """Who owns what the request creates."""
    return _principal(request).id


def visible_owner(request: Request) -> str | None:
    """Whose things the request sees; None for everybody's, which administrators see."""
    principal = _principal(request)
    if not principal.may("admin"):
        return principal.id
    request.state.sees_everybodys = True  # for the audit log
    return None


def _principal(request: Request) -> Principal:
    """Whom the guard let in; it lets nobody past without."""
    principal: Principal = request.state.principal
    return principal
