"""An analysis names a release that has served: its models score beside those that serve, and the report states them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.core.options import ScoringOptions
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.jobs.job import AnalysisJob
from serving.jobs.models import GivenModels, LoadedModels
from serving.jobs.results import read_report
from serving.jobs.table import JobTable, Submission
from serving.jobs.worker import Worker
from serving.jobs.worker_registry import WorkerRegistry
from serving.registry.releases import ReleaseStore
from serving.registry.version import VersionId
from serving.settings import ServerSettings
from serving.store.database import Database, open_database
from serving.store.errors import NotFoundError
from serving.store.slides import SlideStore
from tests.fakes import DotDetector, make_cards
from tests.services import field, kind, serving, until

pytestmark = pytest.mark.integration

FIRST, SECOND = ((VersionId("reg-ns", v, v[-1] * 64), VersionId("det", v, v[-1] * 64)) for v in ("0.0.1", "0.0.2"))


def other_detector() -> DotDetector:
    """With cards of another version."""
    detector = DotDetector()
    detector.screening_card, detector.detection_card = (
        card.model_copy(update={"version": "0.0.2"}) for card in make_cards()
    )
    return detector


class WithReleases(GivenModels):
    """What serves, and beside it a release of the number 2; counts how often that is loaded."""

    def __init__(self) -> None:
        super().__init__(DotDetector)
        self.loads = 0

    def named(self, release: int) -> LoadedModels:
        if release != 2:
            return super().named(release)
        self.loads += 1
        return LoadedModels(other_detector(), "other", SECOND, release)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(ServerSettings(state=tmp_path / "state"))
    yield database
    database.close()


def test_the_models_of_the_release_score_and_are_loaded_once(tmp_path: Path, database: Database) -> None:
    decoders, stop, source = Decoders(DecoderLimits()), threading.Event(), WithReleases()
    store = SlideStore(database, ServerSettings(state=tmp_path / "state"), decoders)
    jobs = JobTable(database, store)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(field())
    slide = store.add(tmp_path / "in", "a.png", owner="ann", name="a.png")

    def end(release: int | None) -> AnalysisJob:
        wanted = Submission("ann", slide.sha256, ScoringOptions(mpp=0.25, release=release))
        made = jobs.submit(wanted, models_key=None)[0].id
        until(lambda: jobs.get(made, owner=None).finished)
        return jobs.get(made, owner=None)

    worker = Worker("w", store, WorkerRegistry(database, "s"), source, stop)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        usual, named, again, wrong = end(None), end(2), end(2), end(9)
        for job, version in ((usual, "0.0.1"), (named, "0.0.2"), (again, "0.0.2")):
            assert job.result is not None
            report = read_report(store.kept, job.result)
            assert {model.version for model in report.models} == {version}
        assert (named.models_key, again.models_key) == ("other", "other")
        assert usual.models_key != "other"
        assert source.loads == 1
        assert (wrong.state, wrong.problem) == ("failed", "not-found")
        assert "no release 9" in str(wrong.detail)
    finally:
        stop.set()
        thread.join()
        decoders.close()


def test_only_what_has_served_and_may_serve_again_is_offered(database: Database) -> None:
    store = ReleaseStore(database)
    assert store.served() == []
    store.pin(FIRST)
    refused = store.want(SECOND, "ann")
    store.settle(refused.number, refused="its gates refuse it")
    promoted = store.want(SECOND, "ann", state="promoted")
    assert [release.number for release in store.served()] == [promoted.number, 1]
    assert store.require_served(1).models == FIRST
    for number in (refused.number, 99):
        with pytest.raises(NotFoundError, match="has served here"):
            store.require_served(number)
    store.retire(FIRST[0])
    assert [release.number for release in store.served()] == [promoted.number]
    with pytest.raises(NotFoundError):
        store.require_served(1)


def test_a_release_that_has_not_served_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as client:
        assert client.get("/v1/releases").json() == {"releases": []}
        slide = client.post("/v1/slides", files={"slide": ("a.png", field())}).json()["id"]
        wanted = {"slide": slide, "options": {"mpp": 0.25, "release": 1}}
        assert kind(client.post("/v1/analyses", json=wanted)) == "not-found"
        wrong = {"slide": slide, "options": {"mpp": 0.25, "release": 0}}
        assert kind(client.post("/v1/analyses", json=wrong)) == "malformed-request"
