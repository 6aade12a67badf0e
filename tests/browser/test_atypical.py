"""Atypical figures in the viewer: marked, counted beside the others, and shown alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.environment import serve
from tests.browser.scored import Scored, open_as, score
from tests.fakes import ATYPICAL_DOT, DOT, ClassifyingDots, DotDetector, plant, tissue
from tests.samples import write_pyramid

pytestmark = pytest.mark.e2e
COMMON = ((500, 600), (620, 700), (760, 560))
ATYPICAL = ((900, 900), (2100, 1500))
POSSIBLE = {(1200, 1600): (14, ATYPICAL_DOT), (1900, 600): (12, DOT)}
"""Side and colour by place of dots below the threshold."""


def _draw(path: Path) -> bytes:
    pixels = tissue(2400, 1900)
    for places, colour in ((COMMON, DOT), (ATYPICAL, ATYPICAL_DOT)):
        for x, y in places:
            plant(pixels, x, y, colour=colour)
    for (x, y), (side, colour) in POSSIBLE.items():
        plant(pixels, x, y, side=side, colour=colour)
    return write_pyramid(path, pixels, levels=4).read_bytes()


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    folder = tmp_path_factory.mktemp("atypical")
    with serve(folder / "state", ClassifyingDots()) as environment:
        yield score(environment, _draw(folder / "dots.tif"), "case 8.tif")


def test_atypical_figures_are_marked_counted_and_shown_alone(page: Page, scored: Scored, shots: Path) -> None:
    open_as(page, scored, "looks")
    both = f"{len(ATYPICAL)} of {len(COMMON) + len(ATYPICAL)} (40 %)"
    expect(page.locator("#window-atypical")).to_have_text(f"· atypical {both} | {both}")
    expect(page.locator("#atypical-row")).to_contain_text(f"{both} | {both}")
    expect(page.locator("#atypia-note")).to_contain_text("atypia 0.0.1 gives a probability of 0.5 or more")
    marked = page.locator("#strip-list button:has(.atypical-mark:not([hidden]))")
    expect(marked).to_have_count(len(ATYPICAL) + 1)  # one is possible only
    expect(marked.first).to_have_attribute("aria-label", "Figure, 0.99, atypical: not judged")
    page.locator("#slide").focus()
    page.keyboard.press("y")
    expect(page.locator("#strip-filter")).to_have_value("atypical")
    expect(page.locator("#strip-list button")).to_have_count(len(ATYPICAL))
    page.screenshot(path=shots / "30-atypical.png")
    page.locator("#tab-candidates").click()
    expect(page.locator("#gallery-atypical")).to_be_checked()
    expect(page.locator("#gallery button")).to_have_count(len(ATYPICAL))
    expect(page.locator("#gallery .atypical-mark")).to_have_count(len(ATYPICAL))
    page.locator("#gallery-atypical").uncheck()
    expect(page.locator("#gallery button")).to_have_count(len(COMMON) + len(ATYPICAL))
    expect(page.locator("#strip-filter")).to_have_value("all")


def test_a_rejected_figure_is_no_atypical_one_and_an_accepted_candidate_is(page: Page, scored: Scored) -> None:
    open_as(page, scored, "judges atypical")
    page.locator("#strip-filter").select_option("atypical")
    page.locator("#strip-list button").first.click()
    page.keyboard.press("r")
    expect(page.locator("#window-atypical")).to_have_text("· atypical 2 of 5 (40 %) | 1 of 4 (25 %)")
    expect(page.locator("#strip-list button")).to_have_count(1)
    page.locator("#strip-filter").select_option("possible")
    page.locator("#strip-list button:has(.atypical-mark:not([hidden]))").click()
    page.keyboard.press("a")
    expect(page.locator("#window-atypical")).to_have_text("· atypical 2 of 5 (40 %) | 2 of 5 (40 %)")
    page.locator("#strip-filter").select_option("atypical")
    expect(page.locator("#strip-list button")).to_have_count(2)


def test_without_an_atypia_model_the_page_says_nothing_of_it(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state", DotDetector()) as environment:
        plain = score(environment, _draw(tmp_path / "dots.tif"), "case 9.tif")
        open_as(page, plain, "plain")
        for hidden in ("#window-atypical", "#atypical-row", "#atypia-note"):
            expect(page.locator(hidden)).to_be_hidden()
        assert page.locator("#strip-filter option[value=atypical]").evaluate("option => option.hidden")
        expect(page.locator("#strip-list .atypical-mark:not([hidden])")).to_have_count(0)
        page.locator("#slide").focus()
        page.keyboard.press("y")
        expect(page.locator("#toast")).to_contain_text("do not say which figures are atypical")
        expect(page.locator("#strip-list button")).to_have_count(len(COMMON) + len(ATYPICAL) + len(POSSIBLE))
