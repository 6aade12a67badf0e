"""Telling a lab's own systems that an analysis has ended: which may be called, how messages are signed, and how they get there."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from sqlalchemy import select, update

from serving.core.errors import BusyError
from serving.jobs.job import WebhookError
from serving.jobs.sending import MARK
from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.tables import deliveries

BACKOFF_S = (5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600)
"""Rests between attempts, a fifth of chance on each, so that a host that comes back is not met by all at once."""
DEADLINE_S = 10.0
"""From looking up the host to the last header of the answer, however many bytes arrive meanwhile."""
AT_ONCE, AT_ONCE_OF_HOST = 16, 4
"""Messages under way; a host that is slow holds back its own alone."""
_POLL_S = 1.0

_log = logging.getLogger("mitoserve.webhooks")


def check_webhook(url: str, settings: ServerSettings) -> str:
    """The address, if this server may call it.

    Raises
    ------
    WebhookError
        If its host is not one that the operator named, or it is no plain http or https address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError as error:
        raise WebhookError(f"the webhook's address does not parse: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise WebhookError("a webhook needs an http:// or https:// address without user and password")
    allowed = {parts.hostname, f"{parts.hostname}:{port}"} & {host.lower() for host in settings.webhook_hosts}
    if not allowed:
        raise WebhookError(
            f"this server may not call {parts.hostname[:100]!r}; its operator can name the host in MITOSIS_WEBHOOK_HOSTS"
        )
    return url


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header of a message (Standard Webhooks: HMAC-SHA256 over id, time and body)."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    """The bytes of a key: base64 behind `whsec_`, as the standard writes keys, or any text."""
    stated = secret.removeprefix("whsec_")
    try:
        return base64.b64decode(stated, validate=True) if stated != secret else secret.encode()
    except binascii.Error:
        return secret.encode()


@dataclass(frozen=True, slots=True)
class _Message:
    """A message that was claimed."""

    id: str
    url: str
    body: str
    attempts: int
    """This one included."""
    rest_s: float
    """Until it is tried again, where this attempt fails."""

    @property
    def host(self) -> str:
        return _host(self.url)


class Deliverer:
    """Sends what is due, in a thread of its own. What arrived may come again: a receiver knows it by its id."""

    def __init__(self, database: Database, settings: ServerSettings) -> None:
        self._database, self._settings = database, settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="webhooks")

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the messages that are under way, each of which has a deadline."""
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        under_way: dict[asyncio.Task[None], str] = {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        # No redirects, no proxies from the environment: the address that was checked is the one that is called.
        async with httpx.AsyncClient(
            timeout=DEADLINE_S, limits=limits, follow_redirects=False, trust_env=False
        ) as client:
            while not self._stop.is_set():
                message = None
                if len(under_way) < AT_ONCE:
                    message = await asyncio.to_thread(self._claim_next, Counter(under_way.values()))
                if message is None:
                    await asyncio.sleep(_POLL_S)
                else:
                    under_way[asyncio.create_task(self._deliver(client, message))] = message.host
                under_way = {task: host for task, host in under_way.items() if not task.done()}
            await asyncio.gather(*under_way)

    async def _deliver(self, client: httpx.AsyncClient, message: _Message) -> None:
        """Send one message and note how that ended; nothing is raised."""
        outcome, done = await self._send(client, message)
        state = "delivered" if done else ("waiting" if message.attempts <= len(BACKOFF_S) else "failed")
        try:
            await asyncio.to_thread(self._note, message, state, outcome)
        except (BusyError, OSError) as error:
            _log.warning("the outcome of webhook %s was not noted, it is sent again: %s", message.id, error)
        if state == "failed":
            _log.error("webhook %s was given up after %d attempts: %s", message.id, message.attempts, outcome)

    async def _send(self, client: httpx.AsyncClient, message: _Message) -> tuple[str, bool]:
        """How sending ended, in words, and whether the receiver has the message."""
        now, content = int(time.time()), message.body.encode()
        headers = {
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(self._settings.webhook_secret, message.id, now, content),
        }
        try:
            check_webhook(message.url, self._settings)  # the operator may have struck the host since
            async with asyncio.timeout(DEADLINE_S):
                async with client.stream("POST", message.url, content=content, headers=headers) as answer:
                    return f"status {answer.status_code}", answer.is_success
        except TimeoutError:
            return f"no answer within {DEADLINE_S:g} s", False
        except (httpx.HTTPError, httpx.InvalidURL, WebhookError, OSError) as error:
            return type(error).__name__, False
        except Exception as error:
            _log.error("webhook %s could not be sent", message.id, exc_info=error)
            return type(error).__name__, False

    def _note(self, message: _Message, state: str, outcome: str) -> None:
        values = {"state": state, "outcome": outcome, "next_at": time.time() + message.rest_s}
        with self._database.writing() as tx:
            tx.execute(update(deliveries).where(deliveries.c.id == message.id).values(values))

    def _claim_next(self, under_way: Counter[str]) -> _Message | None:
        """The next message to send, None where there is none or the database does not answer."""
        try:
            return self._claim(time.time(), under_way)
        except (BusyError, OSError) as error:
            _log.warning("webhooks have to wait: %s", error)
            return None

    def _claim(self, now: float, under_way: Counter[str]) -> _Message | None:
        """A message that is due, put off before it is sent until after its deadline, so that it is not under way twice.

        under_way : messages under way, by host
        """
        # A clock that was set back must not put messages off for ever.
        due = (deliveries.c.next_at <= now) | (deliveries.c.next_at > now + 2 * (BACKOFF_S[-1] + DEADLINE_S))
        waiting = (deliveries.c.state == "waiting") & due & ~deliveries.c.url.startswith(MARK)
        with self._database.reading() as tx:
            listed = select(deliveries.c.id, deliveries.c.url).where(waiting).order_by(deliveries.c.next_at)
            rows = tx.execute(listed).all()
        chosen = next((row.id for row in rows if under_way[_host(row.url)] < AT_ONCE_OF_HOST), None)
        if chosen is None:
            return None
        with self._database.writing() as tx:
            row = tx.execute(select(deliveries).where(deliveries.c.id == chosen, waiting)).first()
            if row is None:  # another server was quicker
                return None
            rest = BACKOFF_S[min(row.attempts, len(BACKOFF_S) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            values = {"attempts": row.attempts + 1, "next_at": now + rest + 2 * DEADLINE_S}
            tx.execute(update(deliveries).where(deliveries.c.id == row.id).values(values))
            return _Message(row.id, row.url, row.body, row.attempts + 1, rest)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
