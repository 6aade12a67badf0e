"""Orders of readers, places that several readers added, and studies as they are kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from serving.jobs.table import remove_rows
from serving.review.review_store import ReviewStore
from serving.review.studies import (
    StudyError,
    StudyReader,
    StudyStore,
    StudyUnfinishedError,
    StudyVisit,
    draw_order,
)
from serving.review.study_results import merge_added
from serving.review.verdicts import Box, Who
from serving.settings import ServerSettings
from serving.store.database import Database, open_database
from serving.store.errors import NotFoundError
from serving.store.tables import analyses
from tests.worklists import STATES, fill_worklist

A, B = ("local", "A"), ("local", "B")
DONE = [f"analysis-{i}" for i in range(10) if STATES[i % len(STATES)] == "succeeded"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(ServerSettings(state=tmp_path / "state"))
    fill_worklist(database, 10)
    yield database
    database.close()


@given(st.integers(0, 2**31 - 1), st.integers(0, 49), st.integers(1, 200))
def test_an_order_has_every_slide_once_and_stays(seed: int, reader: int, number: int) -> None:
    order = draw_order(seed, reader, number)
    assert sorted(order) == list(range(number))
    assert order == draw_order(seed, reader, number)


def test_readers_have_orders_of_their_own_which_are_kept(database: Database) -> None:
    store = StudyStore(database)
    study = store.create("local", "Breast", DONE, [A, B], by="local", seed=7)
    first, second = ([r.analysis for r in store.readings(StudyReader(study.id, *who))] for who in (A, B))
    assert sorted(first) == sorted(second) == sorted(DONE)
    assert first != second
    assert first == [DONE[i] for i in draw_order(7, 0, len(DONE))]
    assert store.get(study.id, owner="local") == study
    assert store.find_all("local") == store.find_all(None) == [study]
    assert store.find_all("key:1") == []


def test_what_cannot_be_read_is_refused(database: Database) -> None:
    store = StudyStore(database)
    with pytest.raises(NotFoundError, match="no analysis 'other'"):
        store.create("local", "a", [DONE[0], "other"], [A], by="local")
    with pytest.raises(NotFoundError):
        store.create("key:1", "a", DONE, [A], by="key:1")
    with pytest.raises(StudyError, match="no result"):
        store.create("local", "a", ["analysis-3"], [A], by="local")
    with pytest.raises(StudyError, match="twice"):
        store.create("local", "a", DONE, [A, A], by="local")
    assert store.find_all(None) == []


def test_the_longest_time_of_a_visit_counts_and_visits_add_up(database: Database) -> None:
    store = StudyStore(database)
    reader = StudyReader(store.create("local", "a", DONE, [A], by="local").id, *A)
    for name, seconds in (("x", 0), ("x", 12.5), ("x", 8), ("y", 4), ("x", 12.5)):
        store.note(reader, DONE[1], StudyVisit(name, seconds))
    times = {r.analysis: r.active_s for r in store.readings(reader)}
    assert times == {analysis: 16.5 if analysis == DONE[1] else 0 for analysis in DONE}
    store.note(reader, DONE[1], StudyVisit("y", 5), finished=True)
    store.note(reader, DONE[1], StudyVisit("y", 50))  # what is finished takes no more time
    assert sum(r.active_s for r in store.readings(reader)) == 17.5


def test_a_slide_opens_again_until_all_are_finished(database: Database) -> None:
    store = StudyStore(database)
    study = store.create("local", "a", DONE[:2], [A, B], by="local")
    reader = StudyReader(study.id, *A)
    store.note(reader, DONE[0], None, finished=True)
    store.note(reader, DONE[0], None, finished=False)
    for analysis in DONE[:2]:
        store.note(reader, analysis, None, finished=True)
    with pytest.raises(StudyError, match="stays as it is"):
        store.note(reader, DONE[0], None, finished=False)
    with pytest.raises(StudyUnfinishedError, match="'B'"):
        store.check_ended(study, "local")
    store.check_ended(study, "key:1")  # no reader
    for analysis in DONE[:2]:
        store.note(StudyReader(study.id, *B), analysis, None, finished=True)
    store.check_ended(study, "local")


def test_nobody_else_reads(database: Database) -> None:
    store = StudyStore(database)
    study = store.create("local", "a", DONE[:2], [A], by="local")
    for who in (B, ("key:1", "A")):
        with pytest.raises(NotFoundError, match="no reader"):
            store.readings(StudyReader(study.id, *who))
    with pytest.raises(NotFoundError, match="in this study"):
        store.note(StudyReader(study.id, *A), DONE[2], None, finished=True)
    with pytest.raises(NotFoundError):
        store.remove(study.id, owner="key:1")
    store.remove(study.id, owner="local")
    assert store.find_all(None) == []


def test_what_is_removed_or_given_away_is_read_no_more(database: Database) -> None:
    store = StudyStore(database)
    reader = StudyReader(store.create("local", "a", DONE[:3], [A], by="local").id, *A)
    with database.writing() as tx:
        remove_rows(tx, [DONE[0]])
        tx.execute(update(analyses).where(analyses.c.id == DONE[1]).values(owner="project:1"))
    assert [r.analysis for r in store.readings(reader)] == [DONE[2]]
    assert ReviewStore(database).study_entries(DONE[0], reader) == []


def box(x: float, y: float) -> Box:
    return x - 5, y - 5, 10, 10


def test_figures_at_one_place_are_one_and_each_reader_adds_one_to_it() -> None:
    added = {A: {"added-1": box(0, 0), "added-4": box(100, 0)}, B: {"added-2": box(3, 4), "added-3": box(6, 8)}}
    merged = merge_added(added, reach=10)
    assert merged.names == {"added-1": "added-1", "added-2": "added-1", "added-3": "added-3", "added-4": "added-4"}
    assert merged.boxes == {name: {**added[A], **added[B]}[name] for name in ("added-1", "added-3", "added-4")}


@given(
    st.lists(st.tuples(st.sampled_from([A, B, ("local", "C")]), st.integers(0, 60), st.integers(0, 60)), max_size=25)
)
def test_no_place_has_two_figures_of_one_reader(drawn: list[tuple[Who, int, int]]) -> None:
    added: dict[Who, dict[str, Box]] = {}
    for number, (who, x, y) in enumerate(drawn, 1):
        added.setdefault(who, {})[f"added-{number}"] = box(x, y)
    merged = merge_added(added, reach=10)
    places = [(who, merged.names[name]) for who, own in added.items() for name in own]
    assert len(places) == len(set(places)) == len(drawn)
    assert set(merged.names.values()) == merged.boxes.keys()
