"""Sign-off in a real browser: two readers who do not see each other, what they differ on, and the page that is signed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.environment import serve
from tests.browser.scored import SURE, Scored, open_as, score
from tests.fakes import plant, tissue
from tests.pdf_pages import count_pages
from tests.samples import write_pyramid

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    folder = tmp_path_factory.mktemp("signoff")
    pixels = tissue(2400, 1900)
    for x, y in SURE:
        plant(pixels, x, y)
    slide = write_pyramid(folder / "dots.tif", pixels, levels=4)
    with serve(folder / "state") as environment:
        yield score(environment, slide.read_bytes(), "K 17.tif")


def finish(page: Page) -> None:
    page.get_by_role("tab", name="Review").click()
    page.locator("#blind-finish").click()
    page.locator("#blind-finish-dialog button[value=ok]").click()


def judge(page: Page, place: int, key: str, judged: int) -> None:
    page.locator("#strip-list button").nth(place).click()
    page.locator("#slide").focus()
    page.keyboard.press(key)
    expect(page.locator("#window-judged")).to_have_text(f"{judged} of {len(SURE)} judged")


def test_two_readers_differ_decide_and_sign(page: Page, scored: Scored, shots: Path) -> None:
    open_as(page, scored, "Dr Ann")
    judge(page, 0, "r", 1)
    judge(page, 1, "a", 2)
    finish(page)
    expect(page.locator("#blind-list")).to_contain_text("Dr Ann (you): finished")
    page.locator("#blind-give").click()
    page.locator("#blind-name").fill("Dr Bob")
    page.locator("#blind-dialog button[value=ok]").click()

    expect(page.locator("#blind-note")).to_contain_text("You read this alone")
    expect(page.locator("#reviewer")).to_have_value("Dr Bob")
    expect(page.locator("#reviewer")).to_be_disabled()
    expect(page.locator("#window-judged")).to_have_text(f"0 of {len(SURE)} judged")
    expect(page.locator("#strip-list .verdict-no")).to_have_count(0)
    expect(page.locator("#record li")).to_have_count(0)
    page.locator("#show-report").click()
    expect(page.locator("#report-sign")).to_be_disabled()
    page.locator("#show-slide").click()
    page.screenshot(path=shots / "40-blind.png")
    judge(page, 0, "a", 1)
    judge(page, 1, "a", 2)
    finish(page)

    expect(page.locator("#blind-agreement")).to_have_text(
        "Same on 1 of 2 objects that both judged, Cohen's κ 0.00. 1 disagreement, 1 to decide."
    )
    expect(page.locator("#strip-filter")).to_have_value("disagreements")
    expect(page.locator("#strip-list button")).to_have_count(1)
    expect(page.locator("#strip-list .both")).to_have_text("Dr Ann: Not mitosis · Dr Bob: Mitosis")
    expect(page.locator("#window-you-name")).to_have_text("Consensus")
    page.screenshot(path=shots / "41-disagreement.png")
    page.locator("#strip-list button").click()
    page.locator("#strip-reject").click()
    expect(page.locator("#strip-note")).to_contain_text("0 to decide")
    left = len(SURE) - 1
    expect(page.locator("#window-you")).to_have_text(str(left))
    page.get_by_role("tab", name="Counts").click()
    rows = page.locator("#sides tbody tr")
    expect(rows.first.locator("td")).to_have_text([str(len(SURE)), str(left), str(len(SURE)), str(left)])
    page.screenshot(path=shots / "42-consensus.png")

    page.locator("#show-report").click()
    sheet = page.locator("#report-sheet")
    expect(sheet.locator("h1")).to_have_text("K 17.tif")
    expect(sheet.locator("thead th")).to_have_text(
        ["Number", "Model", "Reviewer 1: Dr Ann", "Reviewer 2: Dr Bob", "Consensus"]
    )
    expect(sheet.locator(".crops img")).to_have_count(len(SURE))
    expect(sheet).to_contain_text("Not signed.")
    page.locator("#report-sign").click()
    page.locator("#sign-dialog button[value=ok]").click()
    expect(page.locator("#report-said")).to_contain_text("Signed by Dr Bob")
    expect(sheet.locator(".signed p")).to_contain_text("Signed by Dr Bob")
    expect(page.locator("#report-loading")).to_be_hidden()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.screenshot(path=shots / f"43-report-{scheme}.png", full_page=True)
        found = Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    (shots / "44-printed.pdf").write_bytes(printed)
    assert count_pages(printed) == 1
    with page.expect_download() as download:
        page.locator("#report-pdf").click()
    content = Path(download.value.path()).read_bytes()
    (shots / "45-report.pdf").write_bytes(content)
    assert count_pages(content) == 1

    page.locator("#show-slide").click()
    page.locator("#strip-undo").click()
    expect(page.locator("#strip-note")).to_contain_text("1 to decide")
    expect(page.locator("#report-stale")).to_be_attached()
    page.locator("#show-report").click()
    expect(page.locator("#report-said")).to_contain_text("No longer current")
    expect(sheet.locator(".signed .lapsed")).to_contain_text("NO LONGER CURRENT")
    page.screenshot(path=shots / "46-lapsed.png")
    numbers = scored.get("report?review=consensus").json()
    assert [one["review"]["counts"]["mitotic_figures"] for one in numbers["readings"]] == [left, len(SURE)]
