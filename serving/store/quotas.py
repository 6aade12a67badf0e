"""How many bytes an owner may keep: what it has, what its unfinished uploads were promised, and what arrives at the moment.

What a project has counts for whoever made it: otherwise a caller would get another quota with every project.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, select

from serving.settings import ServerSettings
from serving.store.errors import QuotaError
from serving.store.tables import blobs, keys, projects, slides, uploads

_PROJECT = "project"


def check_quota(
    tx: Connection, settings: ServerSettings, owner: str, more: int, *, instead_of: str | None = None
) -> None:
    """Nothing, where `owner` may keep `more` bytes; in the transaction that keeps them, so that no two of them pass together.

    instead_of : an upload that becomes what is kept, so that it does not count beside it

    Raises
    ------
    QuotaError
        If it may not.
    """
    quota = find_quota(tx, settings, owner)
    if quota is None:
        return
    used = used_bytes(tx, owner, but=instead_of)
    if used + more > quota:
        raise QuotaError(
            f"your slides and unfinished uploads may take {quota} bytes here, and take {used} already; delete some with "
            "DELETE /v1/slides/ID or DELETE /v1/uploads/ID"
        )


def find_payer(tx: Connection, owner: str) -> str:
    """For whom the bytes of `owner` count: who made the project, or the owner itself."""
    kind, _, name = owner.partition(":")
    if kind != _PROJECT:
        return owner
    made: str | None = tx.execute(select(projects.c.created_by).where(projects.c.id == name)).scalar()
    return owner if made is None else made


def find_quota(tx: Connection, settings: ServerSettings, owner: str) -> int | None:
    """The bytes that `owner` and all that counts for the same payer may keep; None for as many as the disk holds."""
    kind, _, name = find_payer(tx, owner).partition(":")
    if kind == "key":
        row = tx.execute(select(keys.c.disk_quota_bytes).where(keys.c.id == name)).first()
        return None if row is None else row.disk_quota_bytes
    return settings.disk_quota_bytes if kind in ("oidc", _PROJECT) else None


def used_bytes(tx: Connection, owner: str, *, but: str | None = None) -> int:
    """Bytes of the slides here that count for the payer of `owner`, and of uploads that are no slides yet, except the upload `but`."""
    payer = find_payer(tx, owner)
    made = tx.execute(select(projects.c.id).where(projects.c.created_by == payer)).scalars()
    owners = {owner, payer, *(f"{_PROJECT}:{project}" for project in made)}
    stored = select(func.sum(blobs.c.size)).join_from(slides, blobs, slides.c.sha256 == blobs.c.sha256)
    stored = stored.where(slides.c.owner.in_(owners), ~slides.c.mounted)
    promised = select(func.sum(uploads.c.length)).where(uploads.c.owner.in_(owners), uploads.c.sha256.is_(None))
    if but is not None:
        promised = promised.where(uploads.c.id != but)
    return sum(int(tx.execute(found).scalar() or 0) for found in (stored, promised))


Write = Callable[[bytes], None]


class IncomingBytes:
    """Bytes of slides that are on their way to this server, by owner: together they may not pass what the owner may keep."""

    def __init__(self) -> None:
        self._bytes: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def counting(self, owner: str, left: int | None) -> Iterator[Callable[[Write], Write]]:
        """What counts the bytes of one slide as they are written, until the block ends.

        left : bytes that the owner may keep beside what it has; None for any number
        """
        mine = 0

        def counted(write: Write) -> Write:
            def written(data: bytes) -> None:
                nonlocal mine
                with self._lock:
                    self._bytes[owner] += len(data)
                    mine += len(data)
                    beyond = left is not None and self._bytes[owner] > left
                if beyond:
                    raise QuotaError(
                        "your slides, and what you send at the moment, take more bytes than you may keep here"
                    )
                write(data)

            return written

        try:
            yield counted
        finally:
            with self._lock:
                self._bytes[owner] -= mine
                if not self._bytes[owner]:
                    del self._bytes[owner]
