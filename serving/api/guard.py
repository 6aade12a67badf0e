"""Between CORS and the routes: who calls, whether they may, and the audit record of what they did.

A route needs no line of its own to be guarded: whatever is not named public here asks for a principal, which it finds in
`request.state.principal`. What belongs to somebody else is the route's to hide, by `serving.access.principal.visible`.
"""

import logging
import math
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial

import anyio
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.access import AccessControl
from serving.access.audit import AuditEntry
from serving.access.authenticator import MAX_KNOWN, REMEMBER_S, Caller
from serving.access.principal import (
    LOCAL,
    AuditError,
    AuthenticationError,
    ForbiddenError,
    IdentityProviderError,
    Principal,
    TooManyRequestsError,
)
from serving.access.principal import Scope as Grant
from serving.access.projects import OWNER_PREFIX, Role, includes
from serving.api.problems import problem
from serving.api.routes import bound_method, matches, route_path, route_template
from serving.core.errors import BusyError, MitoserveError
from serving.observability.logs import request_id

PUBLIC = frozenset(
    {"/", "/livez", "/readyz", "/openapi.json", "/v1/login", "/viewer/{page}", "/v1/analyses/{analysis_id}/view"},
)
"""Templates of what anybody may read: it says nothing of slides."""

LOGIN = "/v1/login/token"
"""By which a browser gets the token that it will show."""

_PAGES = ("/viewer/{page:path}", "/v1/analyses/{analysis_id}/view")

ADMIN = "/v1/registry/"
"""Below it is what concerns everybody's results: administrators alone."""

SAFE = frozenset({"GET", "HEAD"})

PROJECT = "mitoserve-project"
"""Header with the id of the project that the caller acts as."""
_OF_PROJECTS = "/v1/projects"
_SAID = re.compile(r"/v1/(analyses|studies)/[^/]+/.")

_UPLOADS = "/v1/uploads/"

READS_S = 600.0
"""What an administrator reads of others' things is recorded once in so long for each thing: a look at a slide asks for a hundred
tiles."""
_MAX_READS = 10_000

_PROXY_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "cf-connecting-ip", "true-client-ip"}
)
"""Beside every one that begins with `x-forwarded` or `x-original`."""
_log = logging.getLogger("mitoserve.guard")

_THREADS = 8
"""Callers whose credentials are looked at side by side; a flood of them leaves the other threads to slides."""


class Guard:
    """Lets in who may come in."""

    def __init__(self, app: ASGIApp, access: Callable[[], AccessControl], *, requests_at_once: int) -> None:
        self._app, self._access, self._at_once = app, access, requests_at_once
        self._under_way: Counter[str] = Counter()
        self._reads: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._roles: OrderedDict[tuple[str, str], tuple[Role, float]] = OrderedDict()
        self._lookups = anyio.CapacityLimiter(_THREADS)
        self._provider_lookups = anyio.CapacityLimiter(_THREADS)
        self._records = anyio.CapacityLimiter(_THREADS)  # they wait where the database is locked, lookups do not

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        grant = required_grant(scope["method"], route_path(scope))
        if grant is None:
            await self._app(scope, receive, send)
            return
        try:
            principal = await self._admit(_caller(scope))
            scope.setdefault("state", {})["principal"] = principal
            if not principal.may(grant):
                raise ForbiddenError(f"this takes the scope {grant!r}; ask the server's operator for such a key")
            await self._act(scope, principal)
            self._enter(principal)
        except MitoserveError as error:
            await self._refuse(error, scope, receive, send)
            return
        try:
            await self._app(scope, receive, self._recording(scope, principal, send))
        finally:
            self._leave(principal)

    async def _admit(self, caller: Caller) -> Principal:
        door = self._access().door
        if (principal := door.recall(caller)) is not None:
            return principal
        limiter = self._provider_lookups if door.asks_provider(caller) else self._lookups
        return await run_sync(door.admit, caller, limiter=limiter)

    async def _act(self, scope: Scope, principal: Principal) -> None:
        """Let the caller act as the project that the request names, as far as its role there goes."""
        project, path = Headers(scope=scope).get(PROJECT), route_path(scope)
        if not project:
            return
        role = await self._find_role(project, principal)
        wanted = required_role(scope["method"], path)
        if not includes(role, wanted):
            raise ForbiddenError(f"this takes the role {wanted!r} in the project; ask one of its managers")
        scope["state"] |= {"project": project, "owner": f"{OWNER_PREFIX}{project}"}

    async def _find_role(self, project: str, principal: Principal) -> Role:
        """The caller's role in a project; a screen of tiles asks for it once."""
        key, now = (project, principal.id), time.monotonic()
        if key not in self._roles or now > self._roles[key][1]:
            find = partial(self._access().projects.find_role, administrator=principal.may("admin"))
            role = await run_sync(find, project, principal.id, limiter=self._lookups)
            self._roles[key] = role, now + REMEMBER_S
            if len(self._roles) > MAX_KNOWN:
                self._roles.popitem(last=False)
            return role
        return self._roles[key][0]

    def _enter(self, principal: Principal) -> None:
        if principal is not LOCAL and self._under_way[principal.id] >= self._at_once:
            raise TooManyRequestsError(f"{self._at_once} of your requests are under way, which is the limit", wait_s=1)
        self._under_way[principal.id] += 1

    def _leave(self, principal: Principal) -> None:
        self._under_way[principal.id] -= 1
        if not self._under_way[principal.id]:
            del self._under_way[principal.id]

    def _recording(self, scope: Scope, principal: Principal, send: Send) -> Send:
        """`send`, but what changes something is on record before its answer goes out."""
        refused = False

        async def recording(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and self._is_recorded(scope, principal, message["status"]):
                try:
                    await self._record(scope, principal.id, message["status"], subject=_subject(scope, message))
                except AuditError as error:
                    _log.error("not on record: %s", error)
                    # An answer of 400 or more changed nothing, and says more: a full disk is why neither could be written.
                    if message["status"] < 400:
                        refused = True
                        await _send_all(problem(error.slug, str(error)), send)
            if not refused:
                await send(message)

        return recording

    def _is_recorded(self, scope: Scope, principal: Principal, status: int) -> bool:
        state = scope.get("state", {})
        if "made" in state:
            return True
        if scope["method"] == "PATCH" and route_path(scope).startswith(_UPLOADS):
            return False  # a piece of an upload is part of the request that created it, but for the one that makes a slide of it
        if scope["method"] not in SAFE:
            return True
        if "sees_everybodys" not in state or principal is LOCAL or status >= 400:
            return False
        key, now = (principal.id, _addressed_id(scope) or route_template(scope)), time.monotonic()
        if now - self._reads.get(key, -math.inf) < READS_S:
            return False
        self._reads[key] = now
        self._reads.move_to_end(key)
        if len(self._reads) > _MAX_READS:
            self._reads.popitem(last=False)
        return True

    async def _refuse(self, error: MitoserveError, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {}
        if isinstance(error, AuthenticationError):
            headers["WWW-Authenticate"] = 'Bearer realm="mitoserve"'
        if isinstance(error, TooManyRequestsError):
            headers["Retry-After"] = str(math.ceil(error.wait_s))
        if isinstance(error, IdentityProviderError | BusyError):
            headers["Retry-After"] = "10"
        answer = problem(error.slug, str(error), headers=headers)
        principal = scope.get("state", {}).get("principal")
        # Floods end in 429, which is not recorded: the log grows by what was tried, not by how often.
        if isinstance(error, AuthenticationError | ForbiddenError):
            try:
                await self._record(scope, principal.id if principal else "anonymous", answer.status_code)
            except AuditError as failure:
                _log.error("not on record: %s", failure)
        await answer(scope, receive, send)

    async def _record(self, scope: Scope, actor: str, status: int, *, subject: str = "") -> None:
        action = f"{bound_method(scope)} {route_template(scope)}"
        entry = AuditEntry(actor, action, str(status), subject=subject, request_id=request_id.get())
        await run_sync(self._access().audit.append, entry, limiter=self._records)


def required_grant(method: str, path: str) -> Grant | None:
    """The scope that a request takes; None where anybody may."""
    if path.startswith(ADMIN):
        return "admin"
    if method == "POST" and path == LOGIN:
        return None
    if method not in SAFE:
        return "score"
    return None if path in PUBLIC or any(matches(page, path) for page in _PAGES) else "read"


def required_role(method: str, path: str) -> Role:
    """The role in a project that a request takes which acts as one.

    What is below an analysis is said of it, and what is below a study is read in it; all else that changes something changes slides and analyses themselves. Projects
    ask for roles of their own.
    """
    if method in SAFE or path.startswith(_OF_PROJECTS):
        return "reader"
    return "reviewer" if _SAID.match(path) else "manager"


def _caller(scope: Scope) -> Caller:
    headers = Headers(scope=scope)
    return Caller(
        address=(scope.get("client") or ("",))[0],
        host=headers.get("host", ""),
        authorization=headers.get("authorization"),
        origin=headers.get("origin"),
        forwarded=any(name in _PROXY_HEADERS or name.startswith(("x-forwarded", "x-original")) for name in headers),
    )


def _subject(scope: Scope, start: Message) -> str:
    """The id of what was made or is named, and the reason of a route that asks for one.

    What was made is named by the answer's Location, else by the route's address.
    """
    state = scope.get("state", {})
    location = Headers(raw=start["headers"]).get("location", "").rstrip("/")
    named = state.get("made") or location.rsplit("/", 1)[-1] or _addressed_id(scope)
    reason = state.get("reason")
    return (f"{named} forced: {reason}" if reason else named)[:200]


def _addressed_id(scope: Scope) -> str:
    """What the address names: ids, never a caller's words."""
    found = scope.get("path_params", {})
    ids = [str(found[name]) for name in ("slide_id", "upload_id", "analysis_id") if name in found]
    return "/".join(ids or map(str, found.values()))


async def _send_all(response: Response, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body})
