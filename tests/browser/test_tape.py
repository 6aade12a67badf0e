"""The measuring tape: distances by mouse and by keys."""

from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.environment import draw_dotted_slide, serve
from tests.browser.pointing import click, settle
from tests.browser.scored import score
from tests.services import field

pytestmark = pytest.mark.e2e

SPOKEN = """
async () => {
  const { distanceText } = await import("/viewer/tape/distance.js");
  const along = (px, mpp) => distanceText({ x: 0, y: 0 }, { x: px, y: 0 }, mpp);
  return [along(100, 0.25), along(3999, 0.25), along(3999.9, 0.25), along(8000, 0.25), along(41.6, null), distanceText({ x: 1, y: 1 }, { x: 4, y: 5 }, 1)];
}
"""


def test_distances_are_measured_and_removed(page: Page, tmp_path: Path, shots: Path) -> None:
    with serve(tmp_path / "state") as environment:
        scored = score(environment, draw_dotted_slide(tmp_path / "dots.tif").read_bytes(), "dots.tif")
        page.goto(scored.link)
        expect(page.locator("#window-counts")).to_be_visible()
        page.locator("#slide").focus()
        page.keyboard.press("0")
        page.locator("#tool-tape").click()
        expect(page.locator("#tape-said")).to_contain_text("Click both ends")
        click(page, 500, 600)
        expect(page.locator("#tape-said")).to_have_text("Now the other end.")
        click(page, 900, 900)
        # 500 px of 0.25 µm; a pixel of the screen is some px of the slide.
        expect(page.locator("#tape-said")).to_contain_text("µm")
        said = page.locator("#tape-said").inner_text()
        assert said.endswith(" µm")
        assert float(said.split()[0]) == pytest.approx(125, abs=2)
        assert page.locator("#selected").inner_text() == "Nothing is selected."  # a click that measures chooses nothing
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=shots / f"80-tape-{scheme}.png")
            found = Axe().run(page).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
        page.keyboard.press("Escape")
        expect(page.locator("#tape-said")).to_contain_text("Click both ends")
        page.keyboard.press("Escape")
        expect(page.locator("#tape")).to_be_hidden()

        # By keys alone: an end in the middle, the slide moved, the other end in the middle.
        page.keyboard.press("v")
        page.keyboard.press("Enter")
        expect(page.locator("#tape-said")).to_have_text("Now the other end.")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        settle(page, tiles=False)
        page.keyboard.press("Enter")
        expect(page.locator("#tape-said")).to_contain_text("µm")
        page.keyboard.press("v")
        expect(page.locator("#tape")).to_be_hidden()


def test_a_slide_without_a_resolution_says_so(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state") as environment:
        slide = httpx.post(
            f"{environment.address}/v1/slides", files={"slide": ("bare.png", field())}, timeout=600
        ).json()["id"]
        page.goto(f"{environment.address}/#slide={slide}")
        expect(page.locator("#tool-tape")).to_be_enabled()
        page.locator("#tool-tape").click()
        click(page, 300, 300)
        click(page, 700, 600)
        expect(page.locator("#tape-said")).to_contain_text("px; resolution unknown")
        assert page.evaluate(SPOKEN) == [
            "25.0 µm",
            "999.8 µm",
            "1.000 mm",
            "2.000 mm",
            "42 px; resolution unknown",
            "5.0 µm",
        ]
