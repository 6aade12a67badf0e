"""Who calls: an id, what it may do and how much. Every owned thing carries the id of its owner."""

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["read", "score", "admin"]
"""`read`: see one's own slides and analyses; `score`: also bring and remove them; `admin`: also those of others."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""From the least to the most; each includes those before it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who was let in."""

    id: str
    """`key:<id>`, `oidc:<subject>` or `local`; it owns what the principal creates."""

    scopes: frozenset[Scope]
    requests_per_minute: int | None = None
    """None: not limited."""

    disk_quota_bytes: int | None = None
    """Bytes of slides that it may keep here; None: as many as the disk holds."""

    def may(self, scope: Scope) -> bool:
        """Whether a scope of this principal is or includes `scope`."""
        return any(held in self.scopes for held in SCOPES[SCOPES.index(scope) :])


LOCAL = Principal("local", frozenset({"admin"}))
"""Whoever calls over loopback while neither keys nor an identity provider are set up: the machine's own user."""
