"""Addresses of webhooks, which only the operator's hosts may have, and the signature of a message."""

import base64
import binascii
import hashlib
import hmac
from urllib.parse import urlsplit

from serving.jobs.errors import WebhookError
from serving.settings import ServerSettings


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
