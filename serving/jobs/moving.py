"""Slides go to another owner, with all that belongs to them."""

from collections.abc import Sequence

from sqlalchemy import delete, select, update

from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.errors import NotFoundError, SlideInUseError
from serving.store.quotas import check_quota, find_payer
from serving.store.slide_rows import UNFINISHED, current_id
from serving.store.tables import OWN, analyses, blobs, slides


def move_slides(database: Database, settings: ServerSettings, ids: Sequence[str], *, owner: str, to: str) -> list[str]:
    """Give an owner's slides, with their analyses and what was said of them, to another; all of them or none.

    Where the other has a slide already, it keeps its own and gets the analyses beside it. Gives the ids.

    Raises
    ------
    NotFoundError
        If the owner lacks one of them.
    SlideInUseError
        If an analysis of one has not ended.
    QuotaError
        If the other may not keep them.
    """
    with database.writing() as tx:
        found = list(dict.fromkeys(current_id(tx, sha256) for sha256 in ids))
        for sha256 in found:
            mine = (slides.c.owner == owner) & (slides.c.sha256 == sha256)
            row = tx.execute(
                select(slides.c.number, slides.c.mounted, blobs.c.size)
                .join_from(slides, blobs, blobs.c.sha256 == slides.c.sha256)
                .where(mine)
            ).first()
            if row is None:
                raise NotFoundError(f"no slide {sha256[:80]!r}; GET /v1/slides lists yours")
            own = (analyses.c.owner == owner) & (analyses.c.sha256 == sha256)
            if tx.execute(select(analyses.c.id).where(own, OWN, analyses.c.state.in_(UNFINISHED)).limit(1)).first():
                raise SlideInUseError("an analysis of this slide is waiting or under way; let it end or cancel it")
            has = tx.execute(select(slides.c.number).where(slides.c.owner == to, slides.c.sha256 == sha256)).first()
            if has is None:
                if find_payer(tx, to) != find_payer(tx, owner):
                    check_quota(tx, settings, to, 0 if row.mounted else row.size)
                tx.execute(update(slides).where(mine).values(owner=to))
            else:
                tx.execute(delete(slides).where(mine))
            # A key for repeating a request is its owner's own, and the other may have used the same.
            tx.execute(update(analyses).where(own).values(owner=to, idempotency_key=None, idempotency_hash=None))
        return found
