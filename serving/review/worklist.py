"""The worklist: a row for each slide of an owner, with its newest analysis, its newest result and what was said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, Subquery, false, func, or_, select, true, union_all

from serving.jobs.job import AnalysisJob, State
from serving.jobs.sending import count_late, match_late
from serving.review.decisions import find_decided
from serving.review.readings import Reading, read_readings, show_entries
from serving.review.review_store import read_entry
from serving.review.verdicts import ReviewEntry, collect_verdicts
from serving.store.database import Database
from serving.store.review_tables import reviews
from serving.store.tables import OWN, analyses, blobs, deliveries, slides

SortKey = Literal["name", "case", "created", "state", "figures", "density"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistFilter:
    """Which rows are wanted; None does not ask.

    owner : whose; None for everybody's
    search : words that name or case hold, all of them, whatever the letters' case
    case : exactly this one; empty for slides without a case
    states : of the newest analysis; `none` for slides without one
    reviewed : whether `reader` has said anything of the newest result
    warned : whether the newest result has warnings, or files that could not be sent
    reader : author of reviews, and the name that they give; an empty name for all names
    """

    owner: str | None
    search: str = ""
    case: str | None = None
    states: tuple[State | Literal["none"], ...] = ()
    reviewed: bool | None = None
    warned: bool | None = None
    reader: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class ReaderCount:
    """What one reader made of a result.

    figures : the model's without those that were rejected, with those that were added
    judged : of the model's figures, those that have a verdict
    """

    figures: int
    judged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistRow:
    """A slide.

    mpp, width, height : microns per level-0 px, and level-0 px; None of a slide that was deleted
    created_at : when it came, s since 1970; of a slide that was deleted, when its first analysis was submitted
    analyses : how many it has
    latest, scored : the newest, and the newest that has a result
    reviewed : by the reader who was asked for
    readers : how many people said something of the result
    unsent : files of the result that should have arrived where the operator wants them, and did not
    """

    sha256: str
    owner: str
    name: str
    case: str
    created_at: float
    deleted: bool
    mpp: float | None
    width: int | None
    height: int | None
    analyses: int
    latest: AnalysisJob | None
    scored: AnalysisJob | None
    reviewed: ReaderCount | None
    readers: int
    unsent: int


class Worklist:
    """Reads the rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, wanted: WorklistFilter, *, sort: SortKey, descending: bool, offset: int, limit: int
    ) -> tuple[list[WorklistRow], int]:
        """Rows from the place `offset` on, at most `limit`, and how many there are in all."""
        found = _Rows(wanted)
        with self._database.reading() as tx:
            chosen = found.select().order_by(*found.order(sort, descending=descending)).offset(offset).limit(limit)
            rows = tx.execute(chosen).all()
            total = offset + len(rows)
            if len(rows) == limit or (offset and not rows):  # else this is the last page
                total = int(tx.execute(select(func.count()).select_from(found.select().subquery())).scalar_one())
            jobs = _read_jobs(tx, [n for row in rows for n in (row.latest, row.scored) if n is not None])
            ids = [jobs[row.scored].id for row in rows if row.scored is not None]
            said, late = _read_reviews(tx, ids, wanted.reader[0]), count_late(tx, ids)
        return [_make_row(row._asdict(), jobs, said, late, wanted.reader) for row in rows], total


class _Rows:
    """The query of the rows that a filter wants."""

    def __init__(self, wanted: WorklistFilter) -> None:
        self._wanted = wanted
        self._listed = _list_slides(wanted.owner)
        self._newest = _find_newest(wanted.owner, true(), "newest")
        has_result = (analyses.c.state == "succeeded") & analyses.c.result.is_not(None)
        self._best = _find_newest(wanted.owner, has_result, "best")
        self._latest, self._scored = analyses.alias("latest"), analyses.alias("scored")

    def select(self) -> Select[Any]:
        """The rows in no order."""
        listed, newest, best = self._listed, self._newest, self._best
        chosen = select(
            *listed.c,
            blobs.c.mpp,
            blobs.c.width,
            blobs.c.height,
            func.coalesce(newest.c.analyses, 0).label("analyses"),
            self._latest.c.number.label("latest"),
            self._scored.c.number.label("scored"),
        )
        source = (
            listed.outerjoin(blobs, (blobs.c.sha256 == listed.c.sha256) & ~listed.c.deleted)
            .outerjoin(newest, _is_same_slide(listed, newest))
            .outerjoin(best, _is_same_slide(listed, best))
            .outerjoin(self._latest, self._latest.c.number == newest.c.number)
            .outerjoin(self._scored, self._scored.c.number == best.c.number)
        )
        return chosen.select_from(source).where(*self._conditions())

    def order(self, sort: SortKey, *, descending: bool) -> list[ColumnElement[Any]]:
        """By what is sorted; equal ones by case, then name; those without it last."""
        name, case = func.lower(self._listed.c.name), func.lower(self._listed.c.case_name)
        first: Mapping[SortKey, ColumnElement[Any]] = {
            "name": name,
            "case": func.nullif(case, ""),
            "created": self._listed.c.created_at,
            "state": self._latest.c.state,
            "figures": self._scored.c.figures,
            "density": self._scored.c.density,
        }
        key = first[sort].desc() if descending else first[sort].asc()
        return [key.nulls_last(), case, name, self._listed.c.sha256, self._listed.c.owner]

    def _conditions(self) -> list[ColumnElement[bool]]:
        wanted, found = self._wanted, []
        for word in wanted.search.lower().split():
            texts = (func.lower(self._listed.c.name), func.lower(self._listed.c.case_name))
            found.append(or_(*(text.contains(word, autoescape=True) for text in texts)))
        if wanted.case is not None:
            found.append(self._listed.c.case_name == wanted.case)
        # Conditions that a missing analysis cannot fail by being null keep the joins in their order: SQLite took five times as long else.
        if wanted.states:
            found.append(func.coalesce(self._latest.c.state, "none").in_(wanted.states))
        if wanted.warned is not None:
            late = select(deliveries.c.id).where(deliveries.c.analysis == self._scored.c.id, match_late()).exists()
            warned = func.coalesce(self._scored.c.warned, -1)
            found.append((warned > 0) | late if wanted.warned else (warned == 0) & ~late)
        if wanted.reviewed is not None:
            author, name = wanted.reader
            said = (reviews.c.analysis == self._scored.c.id) & (reviews.c.author == author) & (reviews.c.study == "")
            said &= (reviews.c.reviewer == name) if name else true()
            by_reader = select(reviews.c.number).where(said).exists()
            found.append(by_reader if wanted.reviewed else (func.coalesce(self._scored.c.id, "") != "") & ~by_reader)
        return found


def _list_slides(owner: str | None) -> Subquery:
    """Slides, and those that were deleted and have analyses still."""
    there = select(
        slides.c.owner,
        slides.c.sha256,
        slides.c.name,
        slides.c.case_name,
        slides.c.created_at,
        false().label("deleted"),
    )
    same = (slides.c.owner == analyses.c.owner) & (slides.c.sha256 == analyses.c.sha256)
    gone = (
        select(
            analyses.c.owner,
            analyses.c.sha256,
            func.max(analyses.c.name).label("name"),
            func.max(analyses.c.case_name).label("case_name"),
            func.min(analyses.c.created_at).label("created_at"),
            true().label("deleted"),
        )
        .where(OWN, ~select(slides.c.number).where(same).exists())
        .group_by(analyses.c.owner, analyses.c.sha256)
    )
    if owner is not None:
        there, gone = there.where(slides.c.owner == owner), gone.where(analyses.c.owner == owner)
    return union_all(there, gone).subquery("listed")


def _find_newest(owner: str | None, which: ColumnElement[bool], name: str) -> Subquery:
    """Number of the newest analysis of each slide, and how many there are."""
    chosen = select(
        analyses.c.owner, analyses.c.sha256, func.max(analyses.c.number).label("number"), func.count().label("analyses")
    ).where(OWN, which)
    if owner is not None:
        chosen = chosen.where(analyses.c.owner == owner)
    return chosen.group_by(analyses.c.owner, analyses.c.sha256).subquery(name)


def _is_same_slide(one: Subquery, other: Subquery) -> ColumnElement[bool]:
    return (other.c.owner == one.c.owner) & (other.c.sha256 == one.c.sha256)


def _read_jobs(tx: Connection, numbers: Sequence[int]) -> dict[int, AnalysisJob]:
    rows = tx.execute(select(analyses).where(analyses.c.number.in_(set(numbers))))
    return {row.number: AnalysisJob.from_row(row) for row in rows}


def _read_reviews(tx: Connection, ids: Sequence[str], principal: str) -> dict[str, list[ReviewEntry]]:
    """What was said outside studies, by analysis, as far as a principal may see it."""
    found: dict[str, list[ReviewEntry]] = {}
    said = (reviews.c.analysis.in_(ids)) & (reviews.c.study == "")
    for row in tx.execute(select(reviews).where(said).order_by(reviews.c.number)):
        found.setdefault(row.analysis, []).append(read_entry(row))
    given: dict[str, list[Reading]] = {}
    for reading in read_readings(tx, ids):
        given.setdefault(reading.analysis, []).append(reading)
    return {name: show_entries(entries, given.get(name, ()), principal) for name, entries in found.items()}


def _make_row(
    row: Mapping[str, Any],
    jobs: Mapping[int, AnalysisJob],
    said: Mapping[str, Sequence[ReviewEntry]],
    late: Mapping[str, int],
    reader: tuple[str, str],
) -> WorklistRow:
    scored = None if row["scored"] is None else jobs[row["scored"]]
    entries = [] if scored is None else said.get(scored.id, [])
    return WorklistRow(
        sha256=row["sha256"],
        owner=row["owner"],
        name=row["name"],
        case=row["case_name"],
        created_at=row["created_at"],
        deleted=bool(row["deleted"]),
        mpp=row["mpp"],
        width=row["width"],
        height=row["height"],
        analyses=row["analyses"],
        latest=None if row["latest"] is None else jobs[row["latest"]],
        scored=scored,
        reviewed=_count_after_review(scored, entries, reader),
        readers=len({entry.who for entry in entries}),
        unsent=0 if scored is None else late.get(scored.id, 0),
    )


def _count_after_review(
    scored: AnalysisJob | None, entries: Sequence[ReviewEntry], reader: tuple[str, str]
) -> ReaderCount | None:
    """The reader's count; None where they said nothing."""
    author, name = reader
    heard = {who: own for who, own in collect_verdicts(entries).items() if who[0] == author and name in ("", who[1])}
    if scored is None or scored.figures is None or not any(heard.values()):
        return None
    decided = list(find_decided(heard))
    judged = [one for one in decided if one.target.startswith("detection-")]
    rejected = sum(not one.is_figure for one in judged)
    added = sum(one.is_figure for one in decided if not one.target.startswith("detection-"))
    return ReaderCount(scored.figures - rejected + added, len(judged))
