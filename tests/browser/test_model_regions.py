"""A regions model's regions in the viewer: drawn and counted in like those of people, who replace them by drawing or deleting."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.environment import serve
from tests.browser.pointing import settle
from tests.browser.scored import HEIGHT, SURE, WIDTH, open_as, score
from tests.browser.test_regions import expect_count
from tests.fakes import STROMA, BoundedDots, ColourSegmenter, make_regions_card, plant, tissue
from tests.samples import write_pyramid

pytestmark = pytest.mark.e2e
TUMOUR = (250, 480, 1200, 1020)
"""x, y, width, height: four of the six figures lie in it."""


def _detector() -> BoundedDots:
    return BoundedDots(regions=ColourSegmenter(make_regions_card(least_part_mm2=0.001)))


def _write_slide(folder: Path, *, tumour: bool) -> bytes:
    pixels = tissue(WIDTH, HEIGHT)
    pixels[:] = STROMA
    if tumour:
        x, y, width, height = TUMOUR
        pixels[y : y + height, x : x + width] = tissue(width, height)
    for at in SURE:
        plant(pixels, *at)
    return write_pyramid(folder / "dots.tif", pixels, levels=4).read_bytes()


def test_the_models_regions_are_drawn_until_somebody_deletes_them(page: Page, tmp_path: Path, shots: Path) -> None:
    with serve(tmp_path / "state", _detector()) as environment:
        scored = score(environment, _write_slide(tmp_path, tumour=True), "case 9.tif")
        open_as(page, scored, "draws")
        page.keyboard.press("0")
        settle(page)
        expect_count(page, 4)
        expect(page.locator("#tissue")).to_contain_text("of tissue in the model's regions")
        expect(page.locator("#regions li")).to_have_count(1)
        expect(page.locator("#regions li").first).to_contain_text("Tumor, counted in")
        expect(page.locator("#regions-note")).to_contain_text("2 of the model's figures lie outside")
        expect(page.locator("#regions-note")).to_contain_text("The regions are those of regions 0.0.1")
        expect(page.locator("#strip-list button")).to_have_count(4)
        page.screenshot(path=shots / "regions-model.png")
        page.locator("#regions-clear").click()
        expect_count(page, len(SURE))
        expect(page.locator("#regions-note")).not_to_contain_text("those of regions")
        page.locator("#regions-undo").click()
        expect_count(page, 4)
        expect(page.locator("#tissue")).to_contain_text("of tissue in your regions")


def test_where_the_model_sees_no_tumour_nothing_counts_and_the_page_says_so(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state", _detector()) as environment:
        scored = score(environment, _write_slide(tmp_path, tumour=False), "case 10.tif")
        page.goto(scored.link)
        expect_count(page, 0)
        expect(page.locator("#tissue")).to_have_text("The regions leave no tissue to count in.")
        expect(page.locator("#regions li").first).to_contain_text("No such tissue, counted in")
        expect(page.locator("#strip-list button")).to_have_count(0)
        page.locator("#regions-clear").click()
        expect_count(page, len(SURE))
