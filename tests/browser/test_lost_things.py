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
from tests.browser.pointing import settle
from tests.browser.scored import open_as, score
from tests.browser.test_viewer import drop, open_slide
from tests.browser.waiting import wait_until
from tests.e2e.processes import free_port
from tests.limits import LONGEST_S
from tests.services import Blocking, field

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
        page.keyboard.press("l")
        line = page.locator("#slides .slide-row")
        expect(line).to_contain_text("no tissue found")
        expect(line.locator("output")).to_have_count(0)
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
        wait_until(page, FULLY)
        expect(page.locator("#loading")).to_be_hidden()


LOSE_PIXELS = """
async () => {
  const { goTo, position, viewer } = await import("/viewer/map/slide.js");
  const lost = viewer.world.getItemAt(0).getTilesToDraw().map((drawn) => drawn.tile);
  for (const tile of lost) {
    tile.tiledImage._tileCache.unloadTile(tile, true);
    tile.loaded = true; // as OpenSeadragon leaves one whose pixels went while it was made ready
  }
  const { x, y, zoom } = position();
  goTo(x + 20, y, zoom);
  return lost.length;
}
"""


def test_tiles_whose_pixels_went_are_loaded_again(page: Page, tmp_path: Path) -> None:
    asked: list[str] = []
    with serve(tmp_path / "state") as environment:
        scored = score(environment, draw_dotted_slide(tmp_path / "dots.tif").read_bytes(), "dots.tif")
        page.goto(scored.link)
        expect(page.locator("#window-counts")).to_be_visible()
        settle(page)
        page.on("request", lambda request: asked.append(request.url))
        lost = page.evaluate(LOSE_PIXELS)
        assert lost > 0
        while sum("deepzoom_files" in url for url in asked) < lost:
            page.wait_for_timeout(20)  # the test's own limit ends it; the fixture sees errors of the page
        settle(page)


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
        wait_until(page, FULLY)
        expect(page.locator("#title")).to_have_text("dots.tif")  # what is looked at stays
        page.keyboard.press("l")
        expect(page.locator("#slides .slide-row")).to_have_count(2)
        expect(page.locator("#uploads")).to_contain_text("second.tif: in the worklist")


def test_what_is_done_in_the_worklist_meanwhile_is_said_not_to_be_and_nothing_is_typed_twice(
    page: Page, tmp_path: Path, shots: Path
) -> None:
    port, state = free_port(), tmp_path / "state"
    toast, chosen = page.locator("#toast"), page.locator("#chosen-count")
    with serve(state, Blocking(), port=port, keep_tiles="off") as environment:
        with httpx.Client(base_url=environment.address, timeout=600) as client:
            for seed, name in enumerate(("a.png", "b.png")):
                slide = client.post("/v1/slides", files={"slide": (name, field(seed=seed))}).json()["id"]
                client.post("/v1/analyses", json={"slide": slide, "options": {"mpp": 0.25}}).raise_for_status()
        page.goto(environment.address)
        expect(page.locator("#slides .state-running")).to_have_count(1)
        page.locator("#choose-all").click()
        expect(chosen).to_have_text("2 slides chosen")

    def lost(done: str) -> None:
        expect(toast).to_contain_text(f"The server cannot be reached: 2 slides were not {done}. Nothing is lost")
        expect(page.locator("#offline")).to_be_visible()
        expect(chosen).to_have_text("2 slides chosen")
        expect(page.locator("#slides .slide-row")).to_have_count(2)

    page.locator("#assign").click()
    page.locator("#assign-case").fill("CASE-9")
    page.get_by_role("button", name="Assign", exact=True).click()
    lost("assigned")
    page.screenshot(path=shots / "25-not-assigned.png")
    page.locator("#rescore").click()
    page.locator("#rescore-threshold").fill("0.9")
    page.locator("#rescore-mpp").fill("0.25")
    page.get_by_role("dialog").get_by_role("button", name="Score", exact=True).click()
    lost("sent to be scored")
    page.locator("#delete").click()
    page.locator("#delete-results").check()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    lost("deleted")
    page.locator("#cancel").click()
    expect(toast).to_contain_text("2 slides were not cancelled")

    with serve(state, Blocking(), port=port, keep_tiles="off") as environment:
        expect(page.locator("#offline")).to_be_hidden()
        expect(chosen).to_have_text("2 slides chosen")
        page.locator("#assign").click()
        expect(page.locator("#assign-case")).to_have_value("CASE-9")
        page.get_by_role("button", name="Assign", exact=True).click()
        expect(page.locator("#slides .case strong")).to_have_text(["CASE-9"])
        page.locator("#rescore").click()
        expect(page.locator("#rescore-threshold")).to_have_value("0.9")
        page.get_by_role("dialog").get_by_role("button", name="Score", exact=True).click()
        expect(toast).to_have_text("2 slides sent to be scored.")
        rows = httpx.get(f"{environment.address}/v1/worklist", timeout=LONGEST_S).json()["rows"]
        assert [row["latest"]["options"]["threshold"] for row in rows] == [0.9, 0.9]
        expect(page.locator("#cancel")).to_be_enabled()
        page.locator("#cancel").click()
        expect(page.locator("#slides .state-cancelled")).to_have_count(2)
        page.locator("#delete").click()
        page.locator("#delete-results").check()
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
        expect(toast).to_have_text("2 slides deleted.")
        assert httpx.get(f"{environment.address}/v1/worklist", timeout=LONGEST_S).json()["total"] == 0


TYPE_HALF = """
() => {
  const fields = document.querySelectorAll("input:not([type=checkbox], [type=file], [type=range]), textarea");
  for (const field of fields) {
    field.value = field.type === "number" ? "1" : "half";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
"""
TAKEN = """
async () => {
  const { emit } = await import("/viewer/lib/state.js");
  const answers = ["threshold", "counting", "counts", "window", "selected", "field", "reviews", "layers", "regions", "comparing"];
  for (const name of answers) emit(name);
  const fields = [...document.querySelectorAll("input:not([type=checkbox], [type=file], [type=range]), textarea")];
  return fields.filter(({ type, value }) => value !== (type === "number" ? "1" : "half")).map(({ id }) => id);
}
"""

SHOWN_AFTER_DISABLED = """
async () => {
  const { showValue } = await import("/viewer/lib/dom.js");
  const field = document.getElementById("reviewer");
  const shown = [];
  for (const [disabled, value] of [[false, "A"], [true, "B"], [false, "C"]]) {
    field.disabled = disabled;
    showValue(field, value);
    shown.push(field.value);
  }
  return shown;
}
"""


def test_no_answer_takes_away_what_is_half_typed(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state") as environment:
        scored = score(environment, draw_dotted_slide(tmp_path / "dots.tif").read_bytes(), "dots.tif")
        open_as(page, scored, "")
        page.get_by_role("tab", name="Review").click()
        page.locator("#reviewer").click()
        page.keyboard.type("Dr. A")
        body = {"target": "detection-0", "action": "reject", "reviewer": "Dr. Bob"}
        reviews = f"{environment.address}/v1/analyses/{scored.analysis}/reviews"
        assert httpx.post(reviews, json=body, timeout=LONGEST_S).status_code == 201
        expect(page.locator("#record")).to_contain_text("Dr. Bob")
        page.keyboard.type("nn")
        page.keyboard.press("Enter")
        expect(page.locator("#reviewer")).to_have_value("Dr. Ann")
        wait_until(page, "async () => (await import('/viewer/lib/state.js')).state.reviewer === 'Dr. Ann'")
        expect(page.locator("#reviewer")).to_have_value("Dr. Ann")
        page.evaluate(TYPE_HALF)
        assert page.evaluate(TAKEN) == []
        assert page.evaluate(SHOWN_AFTER_DISABLED) == ["half", "B", "C"]


def test_counts_and_report_outlive_their_slide(page: Page, tmp_path: Path, shots: Path) -> None:
    with serve(tmp_path / "state") as environment:
        scored = score(environment, field(), "gone.png")
        assert httpx.delete(f"{environment.address}/v1/slides/{scored.slide}", timeout=LONGEST_S).status_code == 204
        page.goto(environment.address)
        open_slide(page, "gone.png")
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
