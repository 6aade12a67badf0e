"""How many bytes an owner may keep: what it has, and what its unfinished uploads were promised, together."""

from sqlalchemy import Connection, func, select

from serving.settings import ServerSettings
from serving.store.errors import QuotaError
from serving.store.tables import blobs, keys, slides, uploads


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


def find_quota(tx: Connection, settings: ServerSettings, owner: str) -> int | None:
    """The bytes that `owner` may keep; None for as many as the disk holds."""
    kind, _, name = owner.partition(":")
    if kind == "key":
        row = tx.execute(select(keys.c.disk_quota_bytes).where(keys.c.id == name)).first()
        return None if row is None else row.disk_quota_bytes
    return settings.disk_quota_bytes if kind == "oidc" else None


def used_bytes(tx: Connection, owner: str, *, but: str | None = None) -> int:
    """Bytes of the slides that `owner` has here, and of its uploads that are no slides yet, except the upload `but`."""
    stored = select(func.sum(blobs.c.size)).join_from(slides, blobs, slides.c.sha256 == blobs.c.sha256)
    stored = stored.where(slides.c.owner == owner, ~slides.c.mounted)
    promised = select(func.sum(uploads.c.length)).where(uploads.c.owner == owner, uploads.c.sha256.is_(None))
    if but is not None:
        promised = promised.where(uploads.c.id != but)
    return sum(int(tx.execute(found).scalar() or 0) for found in (stored, promised))
