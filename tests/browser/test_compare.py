"""Two slides, or two analyses of one, side by side."""

from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.environment import BrowserEnvironment, serve
from tests.browser.waiting import wait_until
from tests.services import DOTS, field, until

pytestmark = pytest.mark.e2e

VIEWS = "async () => (await import('/viewer/compare/compare.js')).panes.map((pane) => pane.view())"
STANDS = """
async () => {
  const { panes } = await import("/viewer/compare/compare.js");
  if (document.body.ariaBusy !== "false" || !panes.every((pane) => pane.viewer.isOpen() && pane.slide)) return false;
  const near = ({ viewer }) => {
    const [now, aim] = [viewer.viewport.getBoundsNoRotate(true), viewer.viewport.getBoundsNoRotate(false)];
    return ["x", "y", "width"].every((side) => Math.abs(now[side] - aim[side]) < 1e-6);
  };
  for (let frames = 0; frames < 3; frames++) {
    if (!panes.every(near)) return false;
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  return true;
}
"""
SWAP_WHILE_THE_ADDRESS_IS_DUE = """
async () => {
  const { panes } = await import("/viewer/compare/compare.js");
  const { setTimeout } = window;
  let due;
  window.setTimeout = (act) => { due = act; };
  panes[0].moved();
  window.setTimeout = setTimeout;
  const asked = new Promise((resolve) => addEventListener("hashchange", () => resolve(location.hash), { once: true }));
  const before = location.hash;
  document.getElementById("swap").click();
  for (let turns = 0; turns < 100 && location.hash === before; turns++) await null;
  if (location.hash === before) return ["another address", before];
  due();
  const stated = await asked;
  due();
  return [stated, location.hash];
}
"""
"""The timer that writes the address runs twice: between the request for another one and its event, and while it opens."""


def score(environment: BrowserEnvironment, name: str, *, seed: int, **options: object) -> tuple[str, str]:
    """Ids of a slide and of its analysis, which has ended."""
    with httpx.Client(base_url=environment.address, timeout=600) as client:
        slide = client.post("/v1/slides", files={"slide": (name, field(seed=seed))}).json()["id"]
        made = client.post("/v1/analyses", json={"slide": slide, "options": {"mpp": 0.25, **options}}).json()["id"]
        until(lambda: client.get(f"/v1/analyses/{made}").json()["state"] == "succeeded")
        return str(slide), str(made)


def views(page: Page) -> list[dict[str, float]]:
    wait_until(page, STANDS)
    found: list[dict[str, float]] = page.evaluate(VIEWS)
    return found


def press(page: Page, side: str, *keys: str) -> list[dict[str, float]]:
    page.locator(f"#{side}-slide").focus()
    for key in keys:
        page.keyboard.press(key)
    return views(page)


def test_sides_move_together_until_they_are_let_go(page: Page, tmp_path: Path, shots: Path) -> None:
    with serve(tmp_path / "state") as environment:
        score(environment, "CASE-1_a.png", seed=1)
        _, coarse = score(environment, "CASE-1_b.png", seed=2)
        page.goto(environment.address)
        expect(page.locator("#slides .state-succeeded")).to_have_count(2)
        expect(page.locator("#compare")).to_be_disabled()
        for box in page.locator(".choose").all():
            box.check()
        page.locator("#compare").click()
        expect(page.locator("#left-said")).to_contain_text(f"{len(DOTS)} mitotic figures")
        expect(page.locator("#right-said")).to_contain_text(f"{len(DOTS)} mitotic figures")
        before = views(page)
        assert before[0]["zoom"] == pytest.approx(before[1]["zoom"], rel=0.01)

        left, right = press(page, "left", "+", "ArrowRight", "ArrowDown")
        assert left["zoom"] == pytest.approx(1.5 * before[0]["zoom"], rel=0.01)
        assert right == pytest.approx({k: before[1][k] + left[k] - before[0][k] for k in left}, rel=0.01)
        moved, followed = press(page, "right", "ArrowLeft")[::-1]
        assert moved["x"] < right["x"] - 5
        assert followed["x"] - left["x"] == pytest.approx(moved["x"] - right["x"], abs=1)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=shots / f"70-side-by-side-{scheme}.png")
            found = Axe().run(page).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []

        page.locator("#linked").uncheck()
        _, moved = views(page)
        alone, stays = press(page, "left", "-", "-")
        assert alone["zoom"] < followed["zoom"] / 2
        assert stays == pytest.approx(moved, rel=1e-3, abs=1)  # less than a pixel of the screen
        wait_until(page, "(id) => location.hash.includes(id) && location.hash.includes('linked=no')", arg=coarse)
        wait_until(
            page,
            "(zoom) => Number(new URLSearchParams(location.hash.slice(1)).get('lz')) < zoom",
            arg=followed["zoom"] / 2,
        )
        page.reload()
        expect(page.locator("#linked")).not_to_be_checked()
        expect(page.locator("#left-said")).to_contain_text("mitotic figures")
        again = views(page)
        for side, was in zip(again, (alone, stays), strict=True):
            assert side == pytest.approx(was, abs=2, rel=0.01)
        name = page.locator("#left-name").text_content()
        page.locator("#swap").click()
        expect(page.locator("#right-name")).to_have_text(str(name))
        views(page)
        stated, kept = page.evaluate(SWAP_WHILE_THE_ADDRESS_IS_DUE)
        assert kept == stated
        expect(page.locator("#left-name")).to_have_text(str(name))


def test_two_analyses_of_one_slide_stand_at_one_place(page: Page, tmp_path: Path, shots: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    with serve(tmp_path / "state") as environment:
        _, first = score(environment, "a.png", seed=1)
        _, second = score(environment, "a.png", seed=1, roi="0,0,600,700")  # without one of the two figures
        page.goto(environment.address)
        page.locator(".choose").first.check()
        page.locator("#compare").click()
        expect(page.locator("#left-said")).to_contain_text("1 mitotic figure by")
        expect(page.locator("#right-said")).to_contain_text("2 mitotic figures")
        expect(page.locator("#left-analysis")).to_have_value(second)
        left, right = views(page)
        assert left == pytest.approx(right, rel=0.01)
        shared = "async () => { const { panes: [l, r] } = await import('/viewer/compare/compare.js'); return [l.figures.map(l.isShared), r.figures.map(r.isShared)].map((f) => f.sort()); }"
        assert page.evaluate(shared) == [[True], [False, True]]
        page.screenshot(path=shots / "71-one-slide.png")
        page.locator("#left-analysis").select_option(first)
        expect(page.locator("#left-said")).to_contain_text("2 mitotic figures")
        assert page.evaluate(shared) == [[True, True], [True, True]]
        page.goto(f"{environment.address}/viewer/compare.html#left=none")
        page.reload()
        expect(page.locator("#left-said")).to_contain_text("no analysis 'none'")
