"""Results that are looked at stay at hand, whatever reports others fetch meanwhile."""

from pathlib import Path

import pytest

from serving.api.app import create_app
from serving.api.results import KEPT, ResultCache
from serving.settings import ServerSettings
from tests.clients import LocalClient
from tests.fakes import DotDetector
from tests.services import bring, field, submit, until, wait_for_end

pytestmark = pytest.mark.integration


def score(client: LocalClient, seed: int) -> str:
    job = submit(client, bring(client, field(seed=seed)), options={"mpp": 0.25})["id"]
    wait_for_end(client, job)
    return str(job)


def test_reports_of_many_analyses_take_no_place_of_one_that_is_looked_at(tmp_path: Path) -> None:
    app = create_app(ServerSettings(state=tmp_path / "state"), load=DotDetector)
    with LocalClient(app) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        results: ResultCache = app.state.services.results
        looked_at, *others = (score(client, seed) for seed in range(KEPT + 2))
        before = client.get(f"/v1/analyses/{looked_at}/counts").json()
        held = results.get(looked_at, owner=None)[1]
        for other in others:
            assert client.get(f"/v1/analyses/{other}/report.csv?review=all").status_code == 200
        assert results.get(looked_at, owner=None)[1] is held
        assert client.get(f"/v1/analyses/{looked_at}/report?review=off").json()["counts"] == before["counts"]
        for other in others:
            client.get(f"/v1/analyses/{other}/counts")
        assert results.get(looked_at, owner=None)[1] is not held
