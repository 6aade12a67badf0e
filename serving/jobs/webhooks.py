"""Telling a lab's own systems that an analysis has ended: signed, retried, and only to hosts that the operator names."""

import base64
import binascii
import hashlib
import hmac
import logging
import random
import threading
import time
from urllib.parse import urlsplit

import httpx
from sqlalchemy import select, update

from serving.jobs.errors import WebhookError
from serving.settings import Settings
from serving.store.database import Database
from serving.store.tables import deliveries
from serving.wsi.errors import BusyError

BACKOFF_S = (5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600)
"""Rests between attempts, a fifth of chance on each, so that a host that comes back is not met by all at once."""
TIMEOUT_S = 10.0
_POLL_S = 1.0

_log = logging.getLogger("mitoserve.webhooks")


def check_webhook(url: str, settings: Settings) -> str:
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


class Deliverer:
    """Sends what is due, in a thread of its own. What arrived may come again: a receiver knows it by its id."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks")

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the message that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        # No redirects, no proxies from the environment: the address that was checked is the one that is called.
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
            while not self._stop.wait(_POLL_S):
                try:
                    while not self._stop.is_set() and self.deliver_one(client, time.time()):
                        pass
                except (BusyError, OSError) as error:
                    _log.warning("webhooks have to wait: %s", error)

    def deliver_one(self, client: httpx.Client, now: float) -> bool:
        """Send one message that is due; False where there is none."""
        claimed = self._claim(now)
        if claimed is None:
            return False
        message_id, url, body, attempts = claimed
        sent = body.encode()
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": sign(self._settings.webhook_secret, message_id, int(now), sent),
        }
        try:
            check_webhook(url, self._settings)  # the operator may have struck the host since
            with client.stream("POST", url, content=sent, headers=headers) as answer:
                outcome, done = f"status {answer.status_code}", answer.is_success
        except (httpx.HTTPError, httpx.InvalidURL, WebhookError) as error:
            outcome, done = type(error).__name__, False
        state = "delivered" if done else ("waiting" if attempts <= len(BACKOFF_S) else "failed")
        with self._database.writing() as tx:
            changed = update(deliveries).where(deliveries.c.id == message_id)
            tx.execute(changed.values(state=state, outcome=outcome))
        if state == "failed":
            _log.error("webhook %s was given up after %d attempts: %s", message_id, attempts, outcome)
        return True

    def _claim(self, now: float) -> tuple[str, str, str, int] | None:
        """A message that is due, put off before it is sent, so that two servers do not send it both."""
        with self._database.reading() as tx:
            chosen = select(deliveries.c.id).where(deliveries.c.state == "waiting")
            # A clock that was set back must not put messages off for ever.
            due = (deliveries.c.next_at <= now) | (deliveries.c.next_at > now + 2 * BACKOFF_S[-1])
            if tx.execute(chosen.where(due).limit(1)).first() is None:
                return None
        with self._database.writing() as tx:
            row = tx.execute(select(deliveries).where(deliveries.c.state == "waiting", due).limit(1)).first()
            if row is None:
                return None
            rest = BACKOFF_S[min(row.attempts, len(BACKOFF_S) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            values = {"attempts": row.attempts + 1, "next_at": now + rest}
            tx.execute(update(deliveries).where(deliveries.c.id == row.id).values(values))
            return row.id, row.url, row.body, row.attempts + 1
