"""Which case a slide belongs to: as its name states, unless somebody says another."""

import re

from sqlalchemy import Connection, func, select, update

from serving.store.slide_rows import current_id, resolve_owner
from serving.store.tables import analyses, slides

MAX_CASE = 200
"""Characters of a case's name."""


def find_case(name: str, pattern: str) -> str:
    """The case that a slide's name states; empty where it states none.

    pattern : regular expression; its first group, or all that it matches, is the case
    """
    found = re.search(pattern, name, re.IGNORECASE)
    return "" if found is None else (found[1 if found.re.groups else 0] or "").strip()[:MAX_CASE]


def set_case(
    tx: Connection, sha256: str, case: str | None, *, owner: str, pattern: str, anybodys: bool = False
) -> tuple[str, str]:
    """Say which case an owner's slide belongs to; its analyses say the same. Gives the id of the slide and whose it is.

    case : empty for none; None for what the slide's name states
    anybodys : where `owner` has no such slide, that of the one who has it is meant

    Raises
    ------
    NotFoundError
        If there is no such slide.
    SharedSlideError
        If several others have it.
    """
    sha256 = current_id(tx, sha256)
    owner = resolve_owner(tx, sha256, owner, anybodys=anybodys)
    mine = (slides.c.owner == owner) & (slides.c.sha256 == sha256)
    if case is None:
        case = find_case(tx.execute(select(slides.c.name).where(mine)).scalar_one(), pattern)
    for table in (slides, analyses):
        own = (table.c.owner == owner) & (table.c.sha256 == sha256)
        tx.execute(update(table).where(own).values(case_name=case.strip()))
    return sha256, owner


def list_cases(tx: Connection, *, owner: str | None, search: str = "", limit: int) -> list[tuple[str, int]]:
    """Cases in the order of their names, and how many slides each has.

    owner : whose; None for everybody's. search : what their names hold, whatever the letters' case
    """
    chosen = select(slides.c.case_name, func.count()).where(slides.c.case_name != "")
    if owner is not None:
        chosen = chosen.where(slides.c.owner == owner)
    if search:
        chosen = chosen.where(func.lower(slides.c.case_name).contains(search.lower(), autoescape=True))
    found = tx.execute(chosen.group_by(slides.c.case_name).order_by(slides.c.case_name).limit(limit))
    return [(name, number) for name, number in found]
