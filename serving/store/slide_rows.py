"""The rows of a slide: its blob, once whoever brought it, and who has it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from serving.isolation.slide import IsolatedSlide
from serving.slides.hashing import ID_RULE
from serving.store.errors import NotFoundError, SharedSlideError
from serving.store.tables import OWN, analyses, blobs, former_slide_ids, slides

UNFINISHED = ("queued", "running")
"""States of an analysis that needs its slide."""


@dataclass(frozen=True, slots=True)
class StoredSlide:
    """A slide as its owner sees it."""

    sha256: str
    name: str
    size: int
    width: int
    height: int
    mpp: float | None
    vendor: str
    mounted: bool
    created_at: float
    number: int
    """Position in the owner's list."""
    case: str
    """The case that it belongs to; empty for none."""


@dataclass(frozen=True, slots=True)
class DroppedSlide:
    """What is left of a slide that was forgotten."""

    sha256: str
    folder: Path | None
    """On this disk."""
    place: str | None
    """Where it is kept; None where it was mounted."""


def current_id(tx: Connection, sha256: str) -> str:
    """The id of the slide that has, or before the rule of ids changed had, the id `sha256`."""
    if tx.execute(select(blobs.c.sha256).where(blobs.c.sha256 == sha256)).first() is not None:
        return sha256
    found = select(former_slide_ids.c.sha256).where(former_slide_ids.c.former == sha256)
    return str(tx.execute(found).scalar() or sha256)


def select_slides(owner: str | None) -> Select[Any]:
    """Rows of slides with those of their blobs; of `owner` alone, unless None."""
    chosen = select(slides, blobs).join_from(slides, blobs, slides.c.sha256 == blobs.c.sha256)
    return chosen if owner is None else chosen.where(slides.c.owner == owner)


def make_stored_slide(row: Row[Any]) -> StoredSlide:
    """The slide of a row of `joined`."""
    found = row._mapping
    names = ("sha256", "name", "created_at", "number", "mounted")
    return StoredSlide(
        **{name: found[slides.c[name]] for name in names},
        **{name: found[blobs.c[name]] for name in ("width", "height", "mpp", "vendor")},
        case=found[slides.c.case_name],
        size=0 if found[slides.c.mounted] else found[blobs.c.size],  # that others brought the bytes is theirs to know
    )


def blob_row(slide: IsolatedSlide, sha256: str, main: str, *, size: int) -> dict[str, object]:
    """The row of a blob. main : the file to open; size : bytes of all its files."""
    return {
        "sha256": sha256,
        "size": size,
        "main": main,
        "mounted": False,
        "stamp": "",
        "width": slide.width,
        "height": slide.height,
        "mpp": slide.mpp,
        "vendor": slide.vendor[:80],
        "used_at": time.time(),
        "id_rule": ID_RULE,
    }


def put_rows(
    tx: Connection,
    row: dict[str, object],
    *,
    owner: str,
    name: str,
    kept: bool,
    case: str = "",
    replaces: bool = False,
) -> None:
    """Insert or renew the rows; a stored blob stays stored when it is mounted too, unless this one `replaces` it.

    So does an owner's slide, whose bytes count for the owner's quota for as long as it has them. One that comes again stays in
    its case.
    """
    sha256 = row["sha256"]
    known = tx.execute(select(blobs.c.mounted).where(blobs.c.sha256 == sha256)).scalar()
    if known is None:
        tx.execute(insert(blobs).values(row))
    elif known or replaces:
        tx.execute(update(blobs).where(blobs.c.sha256 == sha256).values(row))
    else:
        tx.execute(update(blobs).where(blobs.c.sha256 == sha256).values(used_at=row["used_at"]))
    mine = (slides.c.owner == owner) & (slides.c.sha256 == sha256)
    if tx.execute(select(slides.c.number).where(mine)).first() is None:
        values = {"owner": owner, "sha256": sha256, "name": name, "kept": kept, "created_at": time.time()}
        values["case_name"] = case
        tx.execute(insert(slides).values({**values, "mounted": row["mounted"]}))
        return
    if not row["mounted"]:
        tx.execute(update(slides).where(mine).values(mounted=False))
    if kept:
        tx.execute(update(slides).where(mine).values(kept=True, name=name))
    else:
        tx.execute(update(slides).where(mine, ~slides.c.kept).values(name=name, created_at=time.time()))


def find_main(tx: Connection, sha256: str) -> str | None:
    """The file to open of a slide that is stored; None where there is none, or only a mounted file."""
    return tx.execute(select(blobs.c.main).where(blobs.c.sha256 == sha256, ~blobs.c.mounted)).scalar()


def resolve_owner(tx: Connection, sha256: str, owner: str, *, anybodys: bool) -> str:
    """Whose slide is meant: `owner`'s, or with `anybodys` that of the one who has it.

    Raises
    ------
    NotFoundError
        If there is none.
    SharedSlideError
        If several others have it.
    """
    owners = list(tx.execute(select(slides.c.owner).where(slides.c.sha256 == sha256)).scalars())
    if owner in owners:
        return owner
    if not anybodys or not owners:
        raise NotFoundError(f"no slide {sha256[:80]!r}; GET /v1/slides lists yours")
    if len(owners) > 1:
        raise SharedSlideError(f"say whose slide is meant: ?owner= one of {', '.join(sorted(owners))}")
    return str(owners[0])


def forget_unowned(tx: Connection, sha256: str) -> Row[Any] | None:
    """Delete the row of a blob that nobody has and no analysis needs; gives what it was, None where it stays."""
    owned = tx.execute(select(slides.c.number).where(slides.c.sha256 == sha256).limit(1)).first()
    needed = tx.execute(
        select(analyses.c.id).where(analyses.c.sha256 == sha256, analyses.c.state.in_(UNFINISHED), OWN).limit(1)
    ).first()
    row = tx.execute(select(blobs).where(blobs.c.sha256 == sha256)).first()
    if owned or needed or row is None:
        return None
    tx.execute(delete(blobs).where(blobs.c.sha256 == sha256))
    return row
