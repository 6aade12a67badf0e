"""What a proxy in front says of a request: believed only where the operator has named the proxy.

`X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are read, the last value of each, which the nearest proxy has set; of the first
the last that is no named proxy. From anybody else they change nothing, and whoever sends one is never taken for the machine's
own user (`serving.api.guard`).
"""

import ipaddress
import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.routes import root_path

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,64}){1,8}")
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """Gives a request the client, scheme, host and path prefix that a named proxy states, and redirects that stay inside."""

    def __init__(self, app: ASGIApp, *, trusted: Sequence[str], prefix: str) -> None:
        """Believe proxies of `trusted` addresses or networks; `prefix` holds where none is stated."""
        self._app, self._prefix = app, prefix
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        prefix = self._prefix
        if self._is_proxy((scope.get("client") or ("",))[0]):
            prefix = self._apply_forwarded(scope) or prefix
        # In place: whoever called this reads afterwards which route was found. A path that has the prefix keeps it: some
        # proxies take it off, others do not.
        if prefix and scope["path"] != prefix and not scope["path"].startswith(f"{prefix}/"):
            scope["path"] = f"{prefix}{scope['path']}"
        scope["root_path"] = prefix
        root_path.set(prefix)
        own = f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}/"

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                location = headers.get("location", "")
                if location.startswith(own):
                    headers["Location"] = location[len(own) - 1 :]
            await send(message)

        await self._app(scope, receive, sent)

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._trusted)

    def _apply_forwarded(self, scope: Scope) -> str:
        """Give the request what its proxy states; gives the prefix, empty where none is stated that could be one."""
        headers = Headers(scope=scope)
        for stated in reversed(_values(headers, "x-forwarded-for")):
            address = _without_port(stated)
            if address is None:
                break
            scope["client"] = (address, 0)
            if not self._is_proxy(address):
                break
        scheme = _last(headers, "x-forwarded-proto").lower()
        if scheme in ("http", "https"):
            scope["scheme"] = scheme
        host = _last(headers, "x-forwarded-host")
        if _HOST.fullmatch(host):
            rest = [pair for pair in scope["headers"] if pair[0] != b"host"]
            scope["headers"] = [(b"host", host.encode()), *rest]
        prefix = _last(headers, "x-forwarded-prefix").rstrip("/")
        return prefix if is_prefix(prefix) else ""


def is_prefix(text: str) -> bool:
    """Whether a text is a path prefix: one to eight plain parts, none of which leads upwards."""
    return _PREFIX.fullmatch(text) is not None and not {".", ".."} & set(text.split("/"))


def _values(headers: Headers, name: str) -> list[str]:
    return [part.strip() for line in headers.getlist(name) for part in line.split(",") if part.strip()]


def _last(headers: Headers, name: str) -> str:
    return (_values(headers, name) or [""])[-1]


def _without_port(stated: str) -> str | None:
    """The address in `address`, `address:port`, `[address]` or `[address]:port`; None where there is none."""
    found = re.fullmatch(r"\[([^\]]+)\](?::[0-9]+)?", stated) or re.fullmatch(r"([0-9.]+)(?::[0-9]+)?", stated)
    try:
        return str(ipaddress.ip_address(found[1] if found else stated))
    except ValueError:
        return None
