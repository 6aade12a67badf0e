"""Light, dark and forced colours, on narrow and wide pages."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.environment import draw_dotted_slide, serve
from tests.browser.scored import score

pytestmark = pytest.mark.e2e

GROUND = "() => getComputedStyle(document.body).backgroundColor"


def test_colours_are_the_systems_or_as_somebody_chose(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state") as environment:
        page.goto(environment.address)
        light = page.evaluate(GROUND)
        page.emulate_media(color_scheme="dark")
        dark = page.evaluate(GROUND)
        assert light != dark
        page.get_by_role("button", name="Colours: as the system").click()
        assert page.evaluate(GROUND) == light
        page.reload()
        expect(page.get_by_role("button", name="Colours: light")).to_be_visible()
        assert page.evaluate(GROUND) == light
        page.emulate_media(color_scheme="light")
        page.get_by_role("button", name="Colours: light").click()
        page.get_by_role("button", name="Colours: as the system").click()
        page.get_by_role("button", name="Colours: dark").click()
        assert page.evaluate("() => document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("width", [360, 1920])
def test_axe_finds_nothing_on_the_count_in_any_colours(page: Page, tmp_path: Path, shots: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    with serve(tmp_path / "state") as environment:
        scored = score(environment, draw_dotted_slide(tmp_path / "dots.tif").read_bytes(), "dots.tif")
        page.goto(scored.link)
        expect(page.locator("#window-counts")).to_be_visible()
        for name, media in (("light", {}), ("dark", {"color_scheme": "dark"}), ("forced", {"forced_colors": "active"})):
            page.emulate_media(reduced_motion="reduce", **media)  # type: ignore[arg-type]  # one keyword at a time
            page.reload()  # a page that changes its colours while it is looked at is none of these
            expect(page.locator("#window-counts")).to_be_visible()
            page.screenshot(path=shots / f"34-count-{width}-{name}.png")
            found = Axe().run(page).response["violations"]
            assert [(name, v["id"], v["nodes"][0]["html"]) for v in found] == []
        for control in ("#show-worklist", "#help-open", "#theme", "#toggle-panel"):
            expect(page.locator(control)).to_be_in_viewport()
