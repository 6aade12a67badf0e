"""What a shadow repeats, and that nobody else's analyses, lists, turns or slides notice."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import insert, select, update

from serving.core.options import ScoringOptions
from serving.jobs.leases import MAX_CRASHES, Lease, Leases
from serving.jobs.retention import sweep_analyses
from serving.jobs.shadows import ShadowRecord
from serving.jobs.table import JobTable, Submission
from serving.registry.releases import ReleaseStore
from serving.registry.shadows import Shadow, ShadowStore
from serving.registry.version import VersionId
from serving.store.errors import NotFoundError
from serving.store.slides import SlideStore
from serving.store.tables import analyses, blobs, slides

SERVING = (VersionId("reg-ns", "1.0", "a" * 64), VersionId("det", "1.0", "b" * 64))
CANDIDATE = (VersionId("reg-ns", "2.0", "c" * 64), VersionId("det", "2.0", "d" * 64))
SLIDE = "a" * 64
LEASE_S = 1000.0


@pytest.fixture
def jobs(store: SlideStore) -> JobTable:
    with store.database.writing() as tx:
        values = {"sha256": SLIDE, "size": 1, "main": "x", "mounted": False, "stamp": "", "width": 1, "height": 1}
        tx.execute(insert(blobs).values(values | {"vendor": "", "used_at": time.time()}))
        for owner in ("ann", "bob"):
            row = {"owner": owner, "sha256": SLIDE, "name": "a.svs", "kept": True, "created_at": time.time()}
            tx.execute(insert(slides).values(row))
    ReleaseStore(store.database).pin(SERVING)
    return JobTable(store.database, store)


@pytest.fixture
def leases(store: SlideStore) -> Leases:
    return Leases(store.database, store, "w1")


@pytest.fixture
def shadows(store: SlideStore) -> ShadowStore:
    return ShadowStore(store.database)


@pytest.fixture
def shadow(jobs: JobTable, shadows: ShadowStore) -> Shadow:
    return shadows.start(CANDIDATE, 1.0, "ann")


def submit(jobs: JobTable, owner: str, number: int) -> str:
    wanted = Submission(owner, SLIDE, ScoringOptions(threshold=number / 1000))
    return jobs.submit(wanted, models_key=None)[0].id


def succeed(jobs: JobTable, leases: Leases, owner: str, number: int) -> str:
    made = submit(jobs, owner, number)
    lease = leases.claim("serving", lease_s=LEASE_S)
    assert lease is not None
    assert lease.job.id == made
    leases.succeed(lease, f"{made}-{lease.token}")
    return made


def claim(leases: Leases, shadow: Shadow) -> Lease:
    lease = leases.claim_shadow(shadow.number, "candidate")
    assert lease is not None
    return lease


@contextmanager
def is_unchanged(jobs: JobTable) -> Iterator[None]:
    """What callers see is the same after the block."""

    def seen() -> object:
        return jobs.counts(), jobs.page(owner=None, states=(), sha256=None, before=None, limit=99)

    before = seen()
    yield
    assert seen() == before


def test_the_id_alone_decides_and_a_larger_share_holds_the_smaller(shadows: ShadowStore, shadow: Shadow) -> None:
    ids = [uuid.UUID(int=number).hex for number in range(2000)]
    chosen = [{i for i in ids if replace(shadow, share=share).repeats(i)} for share in (0.1, 0.3, 1.0)]
    assert chosen[0] < chosen[1] < chosen[2] == set(ids)
    assert 150 < len(chosen[0]) < 250


def test_what_succeeded_is_repeated_and_nobody_sees_it(
    jobs: JobTable, leases: Leases, shadow: Shadow, store: SlideStore
) -> None:
    made = succeed(jobs, leases, "ann", 1)
    record = ShadowRecord(store.database, store.kept)
    with is_unchanged(jobs):
        assert record.counts(shadow.number)["queued"] == 1
        assert leases.claim("serving", lease_s=LEASE_S) is None, "a shadow's is not everybody's"
        lease = claim(leases, shadow)
        assert (lease.job.shadow_of, lease.job.sha256, lease.job.name) == (made, SLIDE, "a.svs")
        for ask in (jobs.get, jobs.cancel, jobs.forget):
            with pytest.raises(NotFoundError):
                ask(lease.job.id, owner=None)
        leases.progress(lease, 1, 2, None)
        assert jobs.events(lease.job.id, after=0) == []
        leases.succeed(lease, "its-result")
    assert record.counts(shadow.number)["succeeded"] == 1
    jobs.forget(made, owner="ann")
    assert record.counts(shadow.number)["succeeded"] == 0, "it goes with what it repeats"


def test_a_failure_says_nothing_to_the_one_it_repeats(
    jobs: JobTable, leases: Leases, shadow: Shadow, store: SlideStore
) -> None:
    succeed(jobs, leases, "ann", 1)
    with is_unchanged(jobs):
        leases.fail(claim(leases, shadow), "internal-error", "the candidate failed")
    assert ShadowRecord(store.database, store.kept).faults(shadow.number) == ["the candidate failed"]


def test_it_waits_for_everybody_and_gives_way(
    jobs: JobTable, leases: Leases, shadow: Shadow, store: SlideStore
) -> None:
    succeed(jobs, leases, "ann", 1)
    submit(jobs, "bob", 2)
    assert leases.claim_shadow(shadow.number, "candidate") is None, "bob waits"
    own = leases.claim("serving", lease_s=LEASE_S)
    assert own is not None
    assert leases.claim_shadow(shadow.number, "candidate") is None, "bob's runs here"
    elsewhere = Leases(store.database, store, "w2")
    lease = claim(elsewhere, shadow)
    assert elsewhere.holds(lease), "another worker has nothing else to do"
    leases.fail(own, "internal-error", "")
    submit(jobs, "ann", 3)
    assert not elsewhere.holds(lease)
    elsewhere.release(lease)
    assert elsewhere.claim_shadow(shadow.number, "candidate") is None
    third = leases.claim("serving", lease_s=LEASE_S)
    assert third is not None
    leases.fail(third, "internal-error", "")
    assert claim(leases, shadow).job.id == lease.job.id, "it goes on later"


def test_turns_and_slides_are_as_if_there_were_none(
    jobs: JobTable, leases: Leases, shadow: Shadow, store: SlideStore
) -> None:
    succeed(jobs, leases, "bob", 1)
    succeed(jobs, leases, "ann", 2)
    lease = claim(leases, shadow)
    assert lease.job.owner not in ("ann", "bob")
    leases.succeed(lease, "its-result")
    submit(jobs, "ann", 3)
    submit(jobs, "bob", 4)
    turn = leases.claim("serving", lease_s=LEASE_S)
    assert turn is not None
    assert turn.job.owner == "bob", "ann was served last"
    leases.fail(turn, "internal-error", "")
    jobs.cancel(jobs.page(owner="ann", states=["queued"], sha256=None, before=None, limit=1)[0].id, owner="ann")
    assert ShadowRecord(store.database, store.kept).counts(shadow.number)["queued"] == 1
    for owner in ("ann", "bob"):
        store.remove(SLIDE, owner=owner)  # no shadow keeps a slide from its owner's hand
    with store.files.path(SLIDE) as path:
        assert path is None


def test_slides_that_go_with_their_analysis_are_not_kept_for_it(
    jobs: JobTable, leases: Leases, shadow: Shadow, store: SlideStore
) -> None:
    with store.database.writing() as tx:
        tx.execute(update(slides).values(kept=False))
    succeed(jobs, leases, "ann", 1)
    assert leases.claim_shadow(shadow.number, "candidate") is None


def test_a_shadow_ends_by_hand_by_another_and_by_crashes(
    jobs: JobTable, leases: Leases, shadows: ShadowStore, shadow: Shadow, store: SlideStore
) -> None:
    record = ShadowRecord(store.database, store.kept)
    succeed(jobs, leases, "ann", 1)
    succeed(jobs, leases, "ann", 2)
    lease = claim(leases, shadow)
    assert shadows.stop(shadow.number).state == "stopped"
    assert record.counts(shadow.number)["queued"] == 0
    assert not leases.holds(lease)
    leases.release(lease)
    assert sum(record.counts(shadow.number).values()) == 0
    second = shadows.start(CANDIDATE, 1.0, "ann")
    third = shadows.start(CANDIDATE, 0.5, "ann")
    assert (shadows.get(second.number).state, shadows.running()) == ("stopped", third)
    made = succeed(jobs, leases, "ann", 3)
    with store.database.writing() as tx:  # whatever its id would have decided
        copy = dict(tx.execute(select(analyses).where(analyses.c.id == made)).mappings().one())
        copy |= {"number": None, "id": "s", "owner": "", "state": "queued", "shadow_of": made, "shadow": third.number}
        tx.execute(insert(analyses).values(copy | {"request_key": "x"}))
    for _ in range(MAX_CRASHES):
        lost = claim(leases, third)
        leases.requeue(lost.job.id, lost.token)
    assert shadows.get(third.number).state == "failed"
    assert shadows.running() is None


def test_what_serves_is_not_repeated_with_itself(
    jobs: JobTable, leases: Leases, shadows: ShadowStore, shadow: Shadow, store: SlideStore
) -> None:
    releases = ReleaseStore(store.database)
    releases.want(CANDIDATE, "ann", state="promoted")
    assert shadows.running() is None
    succeed(jobs, leases, "ann", 1)
    assert leases.claim_shadow(shadow.number, "candidate") is None
    releases.back("ann", state="promoted")
    assert shadows.running() == shadow


def test_the_result_of_a_shadow_goes_with_the_analysis_that_it_repeats(
    jobs: JobTable, leases: Leases, shadow: Shadow, store: SlideStore
) -> None:
    made = succeed(jobs, leases, "ann", 1)
    lease = claim(leases, shadow)
    leases.succeed(lease, f"{lease.job.id}-{lease.token}")
    root = store.settings.state / "shadows"
    (root / f"{lease.job.id}-{lease.token}").mkdir(parents=True)
    sweep_analyses(store, time.time())
    assert [path.name for path in root.iterdir()] == [f"{lease.job.id}-{lease.token}"]
    jobs.forget(made, owner="ann")
    assert list(root.iterdir()) == []
