"""What the page says of a slide that is being scored, and of places at which the light net alone looked."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.environment import draw_dotted_slide, serve
from tests.browser.pointing import find_on_screen, settle
from tests.browser.scored import Scored
from tests.browser.test_viewer import bring
from tests.fakes import TriagedDots
from tests.integration.test_running_analyses import BlockingAt
from tests.limits import LONGEST_S
from tests.services import until

pytestmark = pytest.mark.e2e


def hover(page: Page, x: float, y: float) -> None:
    page.mouse.move(*find_on_screen(page, x, y))


def test_the_hotspot_so_far_is_shown_before_the_slide_is_scored(page: Page, tmp_path: Path, shots: Path) -> None:
    detector = BlockingAt(6)
    with serve(tmp_path / "state", detector) as environment:
        page.goto(environment.address)
        bring(page, draw_dotted_slide(tmp_path / "dots.tif"))
        assert detector.entered.wait(LONGEST_S)
        expect(page.locator("#state")).to_contain_text("Fullest hotspot so far")
        expect(page.locator("#state")).to_contain_text("preliminary")
        settle(page)
        page.screenshot(path=shots / "31-preliminary.png")
        detector.released.set()
        expect(page.locator("#count")).to_be_visible()
        expect(page.locator("#state")).not_to_contain_text("preliminary")


def test_what_the_light_net_alone_saw_is_told_from_scores(page: Page, tmp_path: Path, shots: Path) -> None:
    with serve(tmp_path / "state", TriagedDots()) as environment:
        slide = draw_dotted_slide(tmp_path / "dots.tif")
        with httpx.Client(base_url=environment.address, timeout=600) as client:
            stored = client.post("/v1/slides", files={"slide": (slide.name, slide.read_bytes())}).json()
            wanted = {"slide": stored["id"], "options": {"cascade": "fast"}}
            job = client.post("/v1/analyses", json=wanted).json()
            until(lambda: client.get(job["links"]["self"]).json()["state"] == "succeeded")
        page.goto(Scored(environment, job["id"], stored["id"]).link)
        expect(page.locator("#window-counts")).to_be_visible()
        page.keyboard.press("0")
        expect(page.locator("#legend-light")).to_be_visible()
        settle(page)
        hover(page, 500, 600)
        expect(page.locator("#hover")).to_contain_text("score 1.71")
        hover(page, 380, 620)
        expect(page.locator("#hover")).to_contain_text("screened by the light net only: 0.00")
        page.screenshot(path=shots / "32-fast.png")
