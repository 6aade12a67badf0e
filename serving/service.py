"""The BentoML service: packages the HTTP app, its models and its one worker. No arithmetic here.

BentoML answers /livez, /readyz and unknown addresses itself, in plain text and before any mounted app, and its request
metrics have one series for every path that anybody asks for. So the app gets every request first, and its own metrics
take the place of BentoML's.
"""

import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import bentoml
import click

from serving.access.access import open_access
from serving.access.authenticator import check_binding
from serving.api.app import create_app
from serving.isolation.limits import end_with_parent, hide_memory
from serving.observability.logs import configure_logging
from serving.settings import ServerSettings, SettingsError

TIMEOUT_S = 6 * 3600
"""BentoML's limit counts from a request's first byte to its answer's: a 16 GiB upload over a slow line, the wait behind
other slides and the analysis itself. A stalled upload ends long before, by `ServerSettings.upload_idle_s`."""


def _refuse_open_door(settings: ServerSettings) -> None:
    """End `bentoml serve` where it would let everybody in.

    BentoML tells a service nothing of the address; its command, which imports this module before it listens, knows it.
    """
    context = click.get_current_context(silent=True)
    host = None if context is None else context.params.get("host")
    if host is None:
        return
    try:
        check_binding(host, locked=open_access(settings).door.locked)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


hide_memory()  # decoders must not find here what only this process may know
settings = ServerSettings.from_environment()
# uvicorn, which BentoML starts after it has imported this, would believe every process on this machine what it forwards.
os.environ["FORWARDED_ALLOW_IPS"] = ""
_refuse_open_door(settings)
configure_logging(settings.log_format)
http_app = create_app(settings)


class HttpAppFirst:
    """Hands every HTTP request to the app; what is left, such as lifespan events, is BentoML's."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._bentoml = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] == "lifespan":
            # The parent is BentoML's supervisor; without it nobody would restart or stop this process.
            end_with_parent(signal.SIGTERM)
        await (http_app if scope["type"] == "http" else self._bentoml)(scope, receive, send)


@bentoml.asgi_app(http_app)
@bentoml.service(
    name="mitoserve",
    workers=1,  # each worker would hold models of its own and start as many threads as there are cores
    traffic={"timeout": TIMEOUT_S},
    metrics={"enabled": False},
    logging={
        "access": {"enabled": False}
    },  # it writes down addresses as clients sent them; the app has a log of its own
)
class MitoserveService:
    """Slide-level mitosis scoring. For Research Use Only. Not for use in diagnostic procedures."""


MitoserveService.add_asgi_middleware(HttpAppFirst)  # type: ignore[attr-defined]
