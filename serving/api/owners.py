"""Whose slides and analyses a request is about."""

from starlette.requests import Request

from serving.access.principal import Principal


def request_owner(request: Request) -> str:
    """Who owns what the request creates: the project that its sender acts as, else its sender."""
    acting: str | None = getattr(request.state, "owner", None)
    return acting or request_principal(request).id


def request_author(request: Request) -> str:
    """Who makes the request, which is on record with what they say."""
    return request_principal(request).id


def visible_owner(request: Request) -> str | None:
    """Whose things the request sees; None for everybody's, which administrators see unless they act as a project."""
    administrator = request_principal(request).may("admin")
    if administrator:
        request.state.sees_everybodys = True  # for the audit log
    if administrator and getattr(request.state, "owner", None) is None:
        return None
    return request_owner(request)


def request_principal(request: Request) -> Principal:
    """Whom the guard let in; it lets nobody past without."""
    principal: Principal = request.state.principal
    return principal
