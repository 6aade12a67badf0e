"""Where a candidate and what serves disagree, in a real browser."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from serving.api import workload
from serving.registry.releases import ReleaseStore
from serving.registry.shadows import ShadowStore
from serving.registry.version import VersionId
from serving.scoring.detector import Detector
from serving.settings import ServerSettings
from serving.store.database import open_database
from tests.browser.environment import PARTIAL, draw_dotted_slide, serve
from tests.browser.waiting import wait_until
from tests.fakes import DotDetector, make_cards
from tests.limits import LONGEST_S
from tests.services import WithCandidate, until

pytestmark = pytest.mark.e2e


def test_disagreements_are_seen_and_gone_through_by_keys(
    page: Page, tmp_path: Path, shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServerSettings(state=tmp_path / "state")
    database = open_database(settings)
    ReleaseStore(database).pin((VersionId("reg-ns", "0.0.1", "a" * 64),))
    number = ShadowStore(database).start((VersionId("reg-ns", "0.0.2", "b" * 64),), 1.0, "ann").number
    database.close()
    stricter = DotDetector(detection_card=make_cards(detection=0.75)[1].model_copy(update={"version": "0.0.2"}))

    def with_candidate(load: Callable[[], Detector]) -> WithCandidate:
        return WithCandidate(load, stricter, number)

    monkeypatch.setattr(workload, "GivenModels", with_candidate)
    with serve(settings.state) as environment, httpx.Client(base_url=environment.address, timeout=LONGEST_S) as client:
        slide = client.put(
            "/v1/slides?filename=a.tif", content=draw_dotted_slide(tmp_path / "a.tif").read_bytes()
        ).json()
        analysis = client.post("/v1/analyses", json={"slide": slide["id"]}).json()["id"]
        address = f"/v1/registry/shadows/{number}"
        until(lambda: client.get(address).json()["analyses"]["succeeded"] == 1)

        page.goto(f"{environment.address}/viewer/disagreements.html#shadow={number}")
        places = page.locator("#gallery a")
        expect(places).to_have_count(len(PARTIAL))
        expect(page.locator("#summary")).to_contain_text("agreement 0.857")
        expect(places.first).to_contain_text("below its threshold")
        wait_until(
            page,
            "() => [...document.querySelectorAll('#gallery canvas')].every("
            "(c) => c.getContext('2d').getImageData(64, 64, 1, 1).data[3] === 255)",
        )
        found = Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
        page.screenshot(path=shots / "disagreements.png")

        page.locator("#kind").select_option("only second")
        expect(page.locator("#note")).to_have_text("No disagreements.")
        page.locator("#kind").select_option("")
        expect(places).to_have_count(len(PARTIAL))
        page.locator("h1").click()
        page.keyboard.press("j")
        expect(places.first).to_be_focused()
        page.keyboard.press("j")
        expect(places.last).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/#analysis={analysis}*")
        expect(page.locator("#title")).to_contain_text("a.tif")
