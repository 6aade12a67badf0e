"""What a server says of an analysis that runs, or was stopped on its way: how much was looked at, and the hotspot so far."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.core.report import Report
from serving.scoring import cascade
from tests.fakes import DotDetector, TriagedDots
from tests.limits import LONGEST_S
from tests.services import bring, events, field, kind, serving, submit, until, wait_for_end

pytestmark = pytest.mark.integration
DOTS = ((1500, 500), (1400, 400), (2500, 2400))


class BlockingAt(DotDetector):
    """Waits at a tile until the test lets it go."""

    def __init__(self, tile: int) -> None:
        super().__init__()
        self._left = tile
        self.entered, self.released = threading.Event(), threading.Event()

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._left -= 1
        if self._left == 0:
            self.entered.set()
            assert self.released.wait(LONGEST_S)
        return super().screen(tiles)


def test_what_was_found_so_far_is_there_before_the_end_and_stays_when_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascade, "CHUNK_TILES", 3)
    detector = BlockingAt(7)
    with serving(tmp_path / "state", lambda: detector) as client:
        made = submit(client, bring(client, field(3000, 3000, dots=DOTS)))
        own = made["links"]["self"]
        assert made["progress"]["preliminary"] is None
        assert detector.entered.wait(LONGEST_S)
        until(lambda: (client.get(own).json()["progress"]["preliminary"] or {"tiles_done": 0})["tiles_done"] == 6)
        known = client.get(own).json()["progress"]["preliminary"]
        assert (known["tiles_total"], known["tiles_counted"]) == (9, 5)
        assert known["tissue_share"] == pytest.approx(6 / 9, abs=0.01)
        assert known["mitotic_figures"] == known["hotspot"]["mitotic_figures"] == 2
        assert client.delete(own).json()["progress"]["preliminary"] == known
        detector.released.set()
        last = events(client.get(made["links"]["events"]).text)[-1]
        assert (last[1], json.loads(last[2])["preliminary"]) == ("cancelled", known)


def test_a_result_takes_the_place_of_what_was_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "CHUNK_TILES", 1)
    with serving(tmp_path / "state") as client:
        done = wait_for_end(client, submit(client, bring(client, field(2000, 2000, dots=DOTS)))["id"])
        assert (done["state"], done["progress"]["preliminary"]) == ("succeeded", None)


def test_a_fast_analysis_is_asked_for_over_http(tmp_path: Path) -> None:
    with serving(tmp_path / "state", TriagedDots) as client:
        slide = bring(client, field())
        fast, exact = (
            Report.model_validate(client.get(wait_for_end(client, made["id"])["links"]["report"]).json())
            for made in (submit(client, slide, options={"mpp": 0.25, "cascade": mode}) for mode in ("fast", "on"))
        )
        assert (fast.settings.cascade_mode, exact.settings.cascade_mode) == ("fast", "exact")
        assert fast.detections == exact.detections
        assert fast.tissue.sub_tiles_screened is not None
        assert exact.tissue.sub_tiles_screened is not None
        assert 0 < fast.tissue.sub_tiles_screened < exact.tissue.sub_tiles_screened / 4
        assert [card["name"] for card in client.get("/v1/models").json()["models"]] == ["triage", "reg-ns", "det"]
        address = "/v1/score?mpp=0.25&cascade=fast"
        scored = client.post(address, files={"slide": ("a.png", field())}).json()
        assert scored["analysis_id"] == fast.analysis_id


def test_a_fast_analysis_needs_a_triage_model(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as client:
        slide, options = bring(client, field()), {"mpp": 0.25, "cascade": "fast"}
        for answer in (
            client.post("/v1/analyses", json={"slide": slide, "options": options}),
            client.post("/v1/score?mpp=0.25&cascade=fast", files={"slide": ("a.png", field())}),
        ):
            assert (answer.status_code, kind(answer)) == (400, "malformed-request")
            assert "needs a triage model" in answer.json()["detail"]
