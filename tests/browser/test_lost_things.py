"""What the page says and does where something is missing: tissue, pixels that are on their way, the server, the slide."""

import io
from pathlib import Path
from threading import Event

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.environment import WHOLE, draw_dotted_slide, serve
from tests.browser.test_counting import score
from tests.browser.test_viewer import drop, settle
from tests.e2e.processes import free_port
from tests.services import field

pytestmark = pytest.mark.e2e

FULLY = "async () => (await import('/viewer/map/slide.js')).viewer.world.getItemAt(0)?.getFullyLoaded() === true"


def test_blank_glass_shows_no_count(page: Page, tmp_path: Path, shots: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((700, 900, 3), 243, np.uint8)).save(buffer, "PNG")
    with serve(tmp_path / "state") as environment:
        blank = score(environment, buffer.getvalue(), "glass.png")
        page.goto(blank.link)
        expect(page.locator("#state")).to_contain_text("No tissue was found")
        expect(page.locator("#count")).to_be_hidden()
        expect(page.locator("#window-model")).to_be_hidden()
        line = page.locator("#slides .analysis")
        expect(line).to_contain_text("no tissue found")
        expect(line.locator(".state-succeeded")).to_have_count(0)
        page.screenshot(path=shots / "22-glass.png")


def test_pixels_on_their_way_are_said_to_be(page: Page, tmp_path: Path) -> None:
    held: list[Route] = []
    free = Event()

    def hold(route: Route) -> None:
        if free.is_set():
            route.continue_()
        else:
            held.append(route)

    with serve(tmp_path / "state") as environment:
        scored = score(environment, draw_dotted_slide(tmp_path / "dots.tif").read_bytes(), "dots.tif")
        page.route("**/deepzoom_files/**", hold)
        page.goto(scored.link)
        expect(page.locator("#window-counts")).to_be_visible()
        expect(page.locator("#loading")).to_be_visible()
        free.set()
        for route in held:
            route.continue_()
        page.wait_for_function(FULLY)
        expect(page.locator("#loading")).to_be_hidden()


def test_a_restart_is_said_and_the_page_goes_on_by_itself(page: Page, tmp_path: Path, shots: Path) -> None:
    port, state = free_port(), tmp_path / "state"
    with serve(state, port=port) as environment:
        scored = score(environment, draw_dotted_slide(tmp_path / "dots.tif").read_bytes(), "dots.tif")
        page.goto(f"{scored.link}&x=1200&y=900&zoom=0.2")
        expect(page.locator("#window-model")).to_have_text(str(len(WHOLE) + 2))
        settle(page)
    page.evaluate("async () => (await import('/viewer/map/slide.js')).goTo(620, 700, 2)")
    page.locator("#slide").focus()
    page.keyboard.press("]")
    expect(page.locator("#offline")).to_be_visible()
    page.screenshot(path=shots / "23-offline.png")
    drop(page, draw_dotted_slide(tmp_path / "second.tif", mpp=0.251))
    with serve(state, port=port):
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.locator("#counting")).to_be_hidden()
        page.wait_for_function(FULLY)
        expect(page.locator("#slides .analysis")).to_have_count(2)
        expect(page.locator("#title")).to_have_text("second.tif")


def test_counts_and_report_outlive_their_slide(page: Page, tmp_path: Path, shots: Path) -> None:
    with serve(tmp_path / "state") as environment:
        scored = score(environment, field(), "gone.png")
        assert httpx.delete(f"{environment.address}/v1/slides/{scored.slide}").status_code == 204
        page.goto(environment.address)
        page.locator("#slides .analysis").click()
        expect(page.locator("#window-model")).to_have_text("2")
        expect(page.locator("#deleted")).to_be_visible()
        with page.expect_download() as download:
            page.locator("#export").select_option("html")
        assert download.value.suggested_filename == "gone-report.html"
        page.reload()
        expect(page.locator("#window-model")).to_have_text("2")
        page.screenshot(path=shots / "24-deleted.png")


def test_who_asks_for_less_movement_sees_none(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    with serve(tmp_path / "state") as environment:
        scored = score(environment, field(), "still.png")
        page.goto(scored.link)
        expect(page.locator("#window-counts")).to_be_visible()
        moved = page.evaluate(
            """async () => {
              const { goTo, position, viewer } = await import("/viewer/map/slide.js");
              goTo(300, 300, 1, { at: "glide" });
              const at = position();
              return [viewer.animationTime, at.x, at.y];
            }"""
        )
        assert moved == pytest.approx([0, 300, 300], abs=1)
    context.close()
