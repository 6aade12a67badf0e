"""Regions in the viewer: drawn by pointer and by keyboard, edited, taken back; they bound every number, stay, and are exported."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.environment import serve
from tests.browser.pointing import click, drag, settle
from tests.browser.scored import HEIGHT, SURE, WIDTH, Scored, open_as, score
from tests.browser.waiting import wait_until
from tests.fakes import plant, tissue
from tests.samples import write_pyramid

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("regions")
    pixels = tissue(WIDTH, HEIGHT)
    for x, y in SURE:
        plant(pixels, x, y)
    return folder, write_pyramid(folder / "dots.tif", pixels, levels=4).read_bytes()


@pytest.fixture
def scored(slide: tuple[Path, bytes], tmp_path: Path) -> Iterator[Scored]:
    """A server with one slide that was scored, on which nobody drew."""
    with serve(tmp_path / "state") as environment:
        yield score(environment, slide[1], "case 8.tif")


def open_whole(page: Page, scored: Scored) -> None:
    """Open the analysis with the whole slide on the screen."""
    open_as(page, scored, "draws")
    page.keyboard.press("0")
    settle(page)


def expect_count(page: Page, figures: int) -> None:
    expect(page.locator("#count")).to_have_text(str(figures))
    expect(page.locator("#counting")).to_be_hidden()


def find_drawn(scored: Scored, use: str) -> list[list[list[float]]]:
    """Outer rings of the regions of a use, as the server has them."""
    stated = scored.get("regions").json()[use]
    return [] if stated is None else [f["geometry"]["coordinates"][0][0] for f in stated["features"]]


def test_a_rectangle_bounds_every_number_and_stays(page: Page, scored: Scored, shots: Path) -> None:
    open_whole(page, scored)
    expect_count(page, len(SURE))
    page.locator("#tool-rectangle").click()
    expect(page.locator("#drawing")).to_contain_text("Drag from corner to corner.")
    drag(page, (250, 480), (1450, 1500))
    expect_count(page, 4)
    expect(page.locator("#window-model")).to_have_text("4")
    expect(page.locator("#regions-note")).to_contain_text("2 of the model's figures lie outside")
    expect(page.locator("#tissue")).to_contain_text("of tissue in your regions")
    expect(page.locator("#strip-note")).to_contain_text("0 of 4 judged")
    expect(page.locator("#strip-list button")).to_have_count(4)
    (ring,) = find_drawn(scored, "within")
    assert [round(value, -1) for value in (*ring[0], *ring[2])] == pytest.approx([250, 480, 1450, 1500], abs=10)
    counts = scored.get("counts").json()["counts"]
    assert (counts["mitotic_figures"], counts["bounded_by"]) == (4, ["tissue", "within"])
    page.keyboard.press("Escape")
    expect(page.locator("#drawing")).to_be_hidden()
    page.screenshot(path=shots / "regions-within.png")
    # Left out of it, one figure more.
    page.locator("#tool-rectangle").click()
    page.locator("#region-use").select_option("exclude")
    drag(page, (850, 850), (950, 950))
    expect_count(page, 3)
    page.keyboard.press("Escape")
    page.screenshot(path=shots / "regions-both.png")
    violations = Axe().run(page).response["violations"]
    assert [violation["id"] for violation in violations] == []
    page.reload()
    expect(page.locator("#window-counts")).to_be_visible()
    expect_count(page, 3)
    expect(page.locator("#regions li")).to_have_count(2)
    expect(page.locator("#regions li").first).to_contain_text("Tumor, counted in")
    with page.expect_download() as waiting:
        page.locator("#export").select_option(label="Regions for QuPath, GeoJSON")
    assert waiting.value.suggested_filename == "case_8-regions.geojson"
    features = json.loads(Path(waiting.value.path()).read_text())["features"]
    assert [f["properties"]["metadata"]["counts"] for f in features] == ["within", "exclude"]
    with page.expect_download() as waiting:
        page.locator("#export").select_option(label="Figures, COCO")
    assert len(json.loads(Path(waiting.value.path()).read_text())["annotations"]) == 3
    page.locator("#regions-clear").click()
    expect_count(page, len(SURE))
    expect(page.locator("#regions li")).to_have_count(0)
    page.locator("#regions-undo").click()
    expect_count(page, 3)


def test_a_polygon_is_closed_edited_and_taken_back(page: Page, scored: Scored, shots: Path) -> None:
    open_whole(page, scored)
    page.keyboard.press("e")
    for x, y in ((400, 450), (1000, 450), (1000, 800), (400, 800)):
        click(page, x, y)
    page.screenshot(path=shots / "regions-polygon.png")
    click(page, 400, 450)
    expect_count(page, 3)
    page.keyboard.press("Escape")
    # A corner is dragged, and the figure at (900, 900) comes in.
    page.locator("#regions li button").first.click()
    settle(page)
    page.keyboard.press("-")
    settle(page)
    drag(page, (1000, 800), (1000, 1000))
    expect_count(page, 4)
    page.screenshot(path=shots / "regions-corners.png")
    # The middle of a side becomes a corner.
    drag(page, (400, 625), (560, 625))
    expect_count(page, 3)
    assert len(find_drawn(scored, "within")[0]) == 6
    for figures in (4, 3, len(SURE)):
        page.keyboard.press("Control+z")
        expect_count(page, figures)
    expect(page.locator("#regions-undo")).to_be_disabled()
    # Sides that cross are refused by the server in its words, and nothing stays of them.
    page.keyboard.press("0")
    settle(page)
    page.keyboard.press("e")
    for x, y in ((400, 450), (1000, 900), (1000, 450), (400, 900)):
        click(page, x, y)
    page.locator("#drawing-close").click()
    expect(page.locator("#toast")).to_contain_text("crosses or touches itself")
    expect(page.locator("#regions li")).to_have_count(0)
    expect_count(page, len(SURE))


def test_who_presses_for_long_clicks_as_well(page: Page, scored: Scored) -> None:
    """A heavy hand or a busy machine: a pointer that does not move puts its corner, and chooses what is under it."""
    open_whole(page, scored)
    page.keyboard.press("e")
    for x, y in ((400, 450), (1000, 450), (1000, 800), (400, 800)):
        click(page, x, y, held_ms=700)
    page.locator("#drawing-close").click()
    expect_count(page, 3)
    page.keyboard.press("Escape")
    chosen = "async () => (await import('/viewer/lib/state.js')).state.selected"
    click(page, *SURE[0])
    first = page.evaluate(chosen)
    click(page, *SURE[1], held_ms=700)
    assert None is not first != page.evaluate(chosen) is not None


def test_a_brush_leaves_out_and_grows(page: Page, scored: Scored, shots: Path) -> None:
    open_whole(page, scored)
    page.keyboard.press("w")
    page.keyboard.press("o")
    expect(page.locator("#region-use")).to_have_value("exclude")
    page.locator("#brush-size").select_option("50")
    drag(page, (450, 600), (550, 600), (700, 700))
    expect_count(page, len(SURE) - 2)
    page.screenshot(path=shots / "regions-brush.png")
    drag(page, (700, 700), (760, 560))
    expect_count(page, len(SURE) - 3)
    expect(page.locator("#regions li")).to_have_count(1)
    drag(page, (2100, 1500), (2101, 1500))
    expect_count(page, len(SURE) - 4)
    expect(page.locator("#regions li")).to_have_count(2)
    page.locator("#regions li").nth(1).get_by_role("button", name="Delete region 2").click()
    expect_count(page, len(SURE) - 3)


def test_regions_are_drawn_by_keyboard(page: Page, scored: Scored) -> None:
    open_whole(page, scored)
    page.keyboard.press("s")
    expect(page.locator("#slide")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    settle(page)
    page.keyboard.press("Enter")
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
        settle(page)
    page.keyboard.press("Enter")
    expect(page.locator("#regions li")).to_have_count(1)
    page.keyboard.press("Escape")
    (before,) = find_drawn(scored, "within")
    row = page.locator("#regions li button").first
    row.focus()
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(".")
    page.keyboard.press("Alt+ArrowLeft")
    wait_until(
        page,
        "async (x) => (await import('/viewer/lib/state.js')).state.regions[0].polygons[0][0][0][0] < x - 1",
        arg=before[0][0],
    )
    page.keyboard.press("Delete")  # of four corners three are left
    wait_until(page, "async () => (await import('/viewer/lib/state.js')).state.regions[0].polygons[0][0].length === 4")
    page.keyboard.press("Delete")
    expect(page.locator("#regions li")).to_have_count(0)


def test_another_tab_sees_what_is_drawn(page: Page, scored: Scored) -> None:
    open_whole(page, scored)
    other = page.context.new_page()
    open_as(other, scored, "looks")
    page.locator("#tool-rectangle").click()
    drag(page, (250, 480), (1450, 1500))
    expect_count(page, 4)
    expect(other.locator("#count")).to_have_text("4")
    expect(other.locator("#regions li")).to_have_count(1)
