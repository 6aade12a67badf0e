"""A server that is killed and comes back: nothing is typed or done again, nothing is lost, and no message outlives its reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.environment import PARTIAL, WHOLE, draw_dotted_slide, serve
from tests.browser.gated_server import KillableServer
from tests.browser.pointing import settle
from tests.browser.scored import open_as, score
from tests.browser.test_viewer import drop, open_slide
from tests.browser.waiting import wait_until

pytestmark = pytest.mark.e2e

FIGURES = len(WHOLE) + len(PARTIAL)
BACK_MS = 240_000
"""Until the page has seen that the server is back, and an analysis has gone on, on a busy machine."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KillableServer]:
    killable = KillableServer(tmp_path / "state", gate=tmp_path / "gate")
    killable.start()
    yield killable
    killable.kill()


@pytest.mark.timeout(1800)
def test_a_kill_during_upload_scoring_and_review_costs_nothing(
    page: Page, server: KillableServer, tmp_path: Path, shots: Path
) -> None:
    page.goto(server.address)
    _kill_during_upload(page, server, draw_dotted_slide(tmp_path / "case 4.tif", compression=None), shots)
    _kill_during_scoring(page, server, shots)
    _kill_during_review(page, server, shots)


def _kill_during_upload(page: Page, server: KillableServer, slide: Path, shots: Path) -> None:
    offsets: list[int] = []

    def pass_on(route: Route) -> None:
        if route.request.method == "PATCH":
            offsets.append(int(route.request.headers["upload-offset"]))
            if len(offsets) == 2:
                server.kill()
        route.continue_()

    page.route("**/v1/uploads/*", pass_on)
    drop(page, slide)
    expect(page.locator("#offline")).to_be_visible()
    expect(page.locator("#uploads")).to_contain_text("waits for the server")
    page.screenshot(path=shots / "60-killed-upload.png")
    server.start()
    expect(page.locator("#offline")).to_be_hidden(timeout=BACK_MS)
    expect(page.locator("#uploads")).to_contain_text("in the worklist", timeout=BACK_MS)
    assert offsets[0] == 0 < offsets[1] <= min(offsets[2:]), "what the server has is not sent again"
    expect(page.locator("#slides .state")).to_contain_text("running", timeout=BACK_MS)


def _kill_during_scoring(page: Page, server: KillableServer, shots: Path) -> None:
    open_slide(page, "case 4.tif")
    expect(page.locator("#state")).to_contain_text("being scored")
    server.kill()
    expect(page.locator("#offline")).to_be_visible()
    page.screenshot(path=shots / "61-killed-scoring.png")
    server.gate.touch()
    server.start()
    expect(page.locator("#offline")).to_be_hidden(timeout=BACK_MS)
    expect(page.locator("#window-model")).to_have_text(str(FIGURES), timeout=BACK_MS)
    expect(page.locator("#state")).to_be_hidden()
    assert len(server.get("/v1/analyses").json()["analyses"]) == 1


def _kill_during_review(page: Page, server: KillableServer, shots: Path) -> None:
    page.keyboard.press("0")
    settle(page)
    page.locator("#slide").focus()
    page.keyboard.press("u")
    page.keyboard.press("r")
    expect(page.locator("#window-judged")).to_have_text(f"1 of {FIGURES} judged")
    expect(page.locator("#counting")).to_be_hidden()
    server.kill()
    page.get_by_role("tab", name="Review").click()
    page.locator("#reason").fill("out of focus")
    page.locator("#slide").focus()
    page.keyboard.press("a")
    expect(page.locator("#unsaved")).to_contain_text("1 verdict is kept")
    page.keyboard.press("r")
    page.keyboard.press("r")
    expect(page.locator("#unsaved")).to_contain_text("3 verdicts are kept")
    page.keyboard.press("Control+z")
    expect(page.locator("#unsaved")).to_contain_text("2 verdicts are kept")
    page.locator("#strip-filter").select_option("rejected")
    expect(page.locator("#strip-list button")).to_have_count(2)
    page.locator("#strip-filter").select_option("all")
    page.screenshot(path=shots / "62-killed-review.png")
    server.start()
    expect(page.locator("#offline")).to_be_hidden(timeout=BACK_MS)
    expect(page.locator("#counting")).to_be_hidden()
    expect(page.locator("#toast")).to_be_hidden()
    for _ in range(2):
        expect(page.locator("#window-judged")).to_have_text(f"3 of {FIGURES} judged")
        expect(page.locator("#window-you")).to_have_text(str(FIGURES - 2))
        page.reload()
    (analysis,) = server.get("/v1/analyses").json()["analyses"]
    entries = server.get(f"/v1/analyses/{analysis['id']}/reviews").json()["entries"]
    assert [(e["action"], e["reason"]) for e in entries] == [("reject", ""), ("accept", "out of focus"), ("reject", "")]


RECORDED = "async (id) => (await (await fetch(`/v1/analyses/${id}/reviews`)).json()).entries.length > 2"


@pytest.mark.timeout(1800)
def test_a_verdict_whose_answer_is_lost_is_recorded_once(page: Page, tmp_path: Path) -> None:
    lost: list[str] = []

    def lose(route: Route) -> None:
        """Let the server record it, and break the line before its answer."""
        if route.request.method == "POST" and len(lost) < 2:
            lost.append(route.fetch().text())
            route.abort("connectionreset")
        else:
            route.continue_()

    with serve(tmp_path / "state") as environment:
        scored = score(environment, draw_dotted_slide(tmp_path / "dots.tif").read_bytes(), "dots.tif")
        open_as(page, scored, "once", more="&x=2000&y=1000&zoom=1")
        page.route("**/reviews", lose)
        page.locator("#slide").focus()
        page.keyboard.press("u")
        page.keyboard.press("r")
        page.keyboard.press("a")
        expect(page.locator("#window-judged")).to_have_text(f"2 of {FIGURES} judged")
        expect(page.locator("#counting")).to_be_hidden()
        page.locator("#stage").hover(position={"x": 200, "y": 150})
        page.keyboard.press("n")
        expect(page.locator("#window-you")).to_have_text(str(FIGURES))
        # The page records behind what it shows.
        wait_until(page, RECORDED, arg=scored.analysis)
        assert len(lost) == 2
        assert [e["action"] for e in scored.get("reviews").json()["entries"]] == ["reject", "accept", "add"]
        # What was added has the server's name, by which it is taken back.
        page.keyboard.press("Control+z")
        expect(page.locator("#window-you")).to_have_text(str(FIGURES - 1))
        page.keyboard.press("Control+z")
        expect(page.locator("#window-judged")).to_have_text(f"1 of {FIGURES} judged")
