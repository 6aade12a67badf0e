"""Studies in a browser: made from the worklist, read by two people who do not see each other, and counted."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.environment import BrowserEnvironment, serve
from tests.services import DOTS, field

pytestmark = pytest.mark.e2e

SLIDES = 2


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[BrowserEnvironment]:
    """A server with slides that are scored."""
    with serve(tmp_path / "state") as environment:
        with httpx.Client(base_url=environment.address, timeout=600) as client:
            for seed in range(SLIDES):
                slide = client.post("/v1/slides", files={"slide": (f"CASE-{seed}.png", field(seed=seed))}).json()["id"]
                client.post("/v1/analyses", json={"slide": slide, "options": {"mpp": 0.25}}).raise_for_status()
        yield environment


def expect_no_fault(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []


def show(page: Page, shots: Path, name: str) -> None:
    """A picture of the page, light and dark, without a fault that axe finds."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.screenshot(path=shots / f"{name}-{scheme}.png")
        expect_no_fault(page)


def make_study(page: Page, name: str, readers: str) -> None:
    expect(page.locator("#slides .state-succeeded")).to_have_count(SLIDES)
    page.locator("#choose-all").click()
    expect(page.locator("#chosen-count")).to_contain_text(f"{SLIDES} slides")
    page.locator("#study-make").click()
    page.locator("#study-name").fill(name)
    page.locator("#study-readers").fill(readers)
    page.locator("#study-seed").fill("7")
    page.get_by_role("button", name="Make", exact=True).click()


def read_slide(page: Page, place: int, *, keys: str) -> None:
    """Judge the figures of a slide by keys, one after the other."""
    expect(page.locator("#reading-place")).to_have_text(f"slide {place} of {SLIDES}")
    expect(page.locator("#strip-list button")).to_have_count(len(DOTS))
    expect(page.locator("#reading-judged")).to_have_text(f", {len(DOTS)} without a verdict")  # nobody's but their own
    page.keyboard.press("j")
    for left, key in enumerate(keys, 1):
        page.keyboard.press(key)
        expect(page.locator("#reading-judged")).to_have_text(f", {len(DOTS) - left} without a verdict")


def test_two_readers_read_alone_and_agreement_is_told(page: Page, environment: BrowserEnvironment, shots: Path) -> None:
    page.goto(environment.address)
    make_study(page, "Breast, pilot", "Dr. A\nDr. B")
    expect(page.locator("#studies")).to_contain_text("Breast, pilot")
    show(page, shots, "60-studies")
    page.get_by_role("button", name="Results of Breast, pilot").click()
    expect(page.locator(".study-results")).to_contain_text("finish them first")
    page.get_by_role("button", name="Read Breast, pilot as Dr. A").click()
    read_slide(page, 1, keys="aa")
    show(page, shots, "61-reading")
    order = [page.locator("#title").text_content()]
    page.reload()  # goes on where it was, with what was said and the time
    expect(page.locator("#reading-place")).to_have_text(f"slide 1 of {SLIDES}")
    expect(page.locator("#reading-judged")).to_have_text(", 0 without a verdict")
    expect(page.locator("#title")).to_have_text(str(order[0]))
    expect(page.locator("#region-tools")).to_be_hidden()
    page.locator("#reading-next").click()
    expect(page.locator("#reading-next")).to_have_text("Finish the study")
    page.locator("#reading-back").click()
    expect(page.locator("#reading-place")).to_have_text(f"slide 1 of {SLIDES}")
    expect(page.locator("#reading-judged")).to_have_text(", 0 without a verdict")
    page.locator("#reading-next").click()
    expect(page.locator("#reading-place")).to_have_text(f"slide 2 of {SLIDES}")
    expect(page.locator("#reading-judged")).to_have_text(f", {len(DOTS)} without a verdict")
    page.locator("#reading-next").click()  # figures without a verdict are told once
    expect(page.locator("#toast")).to_contain_text("have no verdict")
    read_slide(page, 2, keys="ar")
    page.locator("#reading-next").click()
    expect(page.locator("#studies")).to_contain_text(f"{SLIDES} of {SLIDES} read")
    expect(page.locator("#reading-bar")).to_be_hidden()

    page.get_by_role("button", name="Read Breast, pilot as Dr. B").click()
    for place in range(1, SLIDES + 1):
        read_slide(page, place, keys="aa")
        page.locator("#reading-next").click()
    page.get_by_role("button", name="Results of Breast, pilot").click()
    results = page.locator(".study-results")
    expect(results).to_contain_text(f"Dr. A and Dr. B: same on 3 of {SLIDES * len(DOTS)} (75 %)")
    expect(results).to_contain_text("ICC(2,1)")
    expect(results.locator("tbody tr")).to_have_count(SLIDES)
    show(page, shots, "62-results")
    with page.expect_download() as download:
        page.get_by_role("button", name="Readings, CSV").click()
    assert download.value.suggested_filename == "Breast, pilot-readings.csv"
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 1 + 2 * SLIDES * len(DOTS)

    study = httpx.get(f"{environment.address}/v1/studies", timeout=600).json()["studies"][0]
    assert all(reader["active_s"] > 0 for reader in study["readers"])
    page.locator("#studies-close").click()
    page.locator("#slides .name").first.click()
    expect(page.locator("#window-judged")).to_contain_text("0 of")  # what was said in the study stays there


TICKING = """
async () => {
  const { Clock } = await import("/viewer/studies/clock.js");
  let now = 1000, seen = "visible";
  performance.now = () => now;
  Object.defineProperty(document, "visibilityState", { get: () => seen, configurable: true });
  const turn = (to) => { seen = to; document.dispatchEvent(new Event("visibilitychange")); };
  const clock = new Clock(), found = [];
  const pass = (ms) => { now += ms; found.push(clock.seconds()); };
  clock.start();
  pass(5000);
  turn("hidden");
  pass(60000);
  turn("visible");
  pass(2000);
  pass(3600000); // nobody does anything
  dispatchEvent(new KeyboardEvent("keydown", { key: "j" }));
  pass(1000);
  clock.stop();
  pass(1000);
  return found;
}
"""


def test_the_time_rests_while_nobody_looks(page: Page, environment: BrowserEnvironment) -> None:
    page.goto(f"{environment.address}/viewer/login.html")
    # 5 s; hidden; 2 s more; then two minutes without a sign of life and no more; a key, and 1 s; stopped.
    assert page.evaluate(TICKING) == [5, 5, 7, 125, 126, 126]
