"""The worklist in a browser: several files in one go, cases, choices, and hundreds of rows."""

import base64
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from serving.settings import ServerSettings
from serving.store.database import open_database
from tests.browser.environment import BrowserEnvironment, serve
from tests.limits import LONGEST_S
from tests.services import DOTS, Blocking, field
from tests.worklists import STATES, fill_worklist

pytestmark = pytest.mark.e2e

DROP_SEVERAL = """
(files) => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { lastModified: 0 }));
  }
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}
"""
MPP = {"mpp": 0.25}


def drop_several(page: Page, files: dict[str, bytes]) -> None:
    page.evaluate(DROP_SEVERAL, [[name, base64.b64encode(content).decode()] for name, content in files.items()])


def row(page: Page, name: str) -> Locator:
    return page.locator("#slides .slide-row", has_text=name)


def bring(environment: BrowserEnvironment, name: str, *, seed: int, options: Mapping[str, object] | None = None) -> str:
    """The id of a slide at the server; scored with options, unless there are none."""
    with httpx.Client(base_url=environment.address, timeout=LONGEST_S) as client:
        slide = str(client.post("/v1/slides", files={"slide": (name, field(seed=seed))}).json()["id"])
        if options is not None:
            client.post("/v1/analyses", json={"slide": slide, "options": options}).raise_for_status()
        return slide


def test_several_files_queue_in_silence_and_stand_by_their_cases(page: Page, tmp_path: Path, shots: Path) -> None:
    names = ("CASE-7_a.png", "CASE-7_b.png", "CASE-8.png", "other.png")
    with serve(tmp_path / "state") as environment:
        page.goto(environment.address)
        expect(page.locator("#no-slides")).to_contain_text("No slides yet")
        page.locator("#mpp").fill("0.25")
        drop_several(page, {name: field(seed=seed) for seed, name in enumerate(names)})
        expect(page.locator("#uploads-said")).to_have_text("4 of 4 files uploaded")
        for name in names:
            expect(row(page, name).locator(".state")).to_contain_text("scored")
            expect(row(page, name).locator(".number").first).to_have_text(str(len(DOTS)))
            expect(row(page, name).locator(".unread")).to_have_text("not read")
        expect(page.locator("#slides .case strong")).to_have_text(["CASE-7", "CASE-8", "Without a case"])
        expect(page.locator("#middle")).to_be_hidden()
        page.screenshot(path=shots / "30-worklist.png")
        page.locator("#uploads-clear").click()
        expect(page.locator("#upload-box")).to_be_hidden()


def test_slides_are_assigned_scored_again_and_deleted_together(page: Page, tmp_path: Path, shots: Path) -> None:
    with serve(tmp_path / "state") as environment:
        for seed, name in enumerate(("CASE-1_a.png", "CASE-1_b.png", "lost.png")):
            bring(environment, name, seed=seed, options=MPP)
        page.goto(environment.address)
        expect(page.locator("#slides .state-succeeded")).to_have_count(3)

        row(page, "lost.png").locator(".choose").check()
        page.locator("#assign").click()
        page.locator("#assign-case").fill("CASE-1")
        page.get_by_role("button", name="Assign", exact=True).click()
        expect(page.locator("#slides .case strong")).to_have_text(["CASE-1"])
        expect(page.locator("#chosen-count")).to_have_text("1 slide chosen")  # a choice outlives what is done with it

        page.locator(".choose-case").check()
        expect(page.locator("#chosen-count")).to_have_text("3 slides chosen")
        page.locator("#rescore").click()
        expect(page.locator("#rescore-models")).to_contain_text("release that serves")
        expect(page.locator("#rescore-release option")).to_have_text(["the release that serves"])  # none served before
        page.locator("#rescore-profile").select_option("gist")
        page.locator("#rescore-threshold").fill("0.9")
        page.locator("#rescore-roi").fill("0,0,600,700")
        page.locator("#rescore-mpp").fill("0.25")
        page.get_by_role("dialog").get_by_role("button", name="Score", exact=True).click()
        for name in ("CASE-1_a.png", "CASE-1_b.png", "lost.png"):
            expect(row(page, name).locator(".options")).to_contain_text("GIST · threshold 0.9 · a region")
            expect(row(page, name).locator(".number").first).to_have_text("1")  # one dot lies in the region
        row(page, "lost.png").get_by_role("button", name="Show all analyses of lost.png").click()
        expect(page.locator("#slides .earlier .analysis")).to_have_count(2)
        page.screenshot(path=shots / "31-again.png")

        page.locator("#choose-none").click()
        row(page, "lost.png").locator(".choose").check()
        page.locator("#delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        expect(row(page, "lost.png")).to_have_count(1)
        page.locator("#delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
        expect(row(page, "lost.png")).to_contain_text("deleted; counts and report are kept")
        row(page, "lost.png").locator(".choose").check()
        page.locator("#delete").click()
        expect(page.locator("#delete-results")).to_be_disabled()  # there is nothing else to delete
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
        expect(row(page, "lost.png")).to_have_count(0)
        expect(page.locator("#toast")).to_have_text("1 slide deleted.")
        assert httpx.get(f"{environment.address}/v1/worklist", timeout=LONGEST_S).json()["total"] == 2


def test_what_is_refused_is_said_of_the_slide_that_it_was(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state") as environment:
        bring(environment, "a.png", seed=1, options=MPP)
        page.goto(environment.address)
        row(page, "a.png").locator(".choose").check()
        page.locator("#rescore").click()
        page.locator("#rescore-roi").fill("nowhere")
        page.get_by_role("dialog").get_by_role("button", name="Score", exact=True).click()
        expect(page.locator("#toast")).to_contain_text("1 slide was refused. a.png:")


def test_a_slide_without_a_resolution_says_so_and_takes_one(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state") as environment:
        page.goto(environment.address)
        drop_several(page, {"bare.png": field()})
        expect(row(page, "bare.png")).to_contain_text("The file does not state how large its pixels are.")
        page.get_by_role("button", name="State the resolution of bare.png").click()
        expect(page.locator("#rescore-mpp")).to_be_focused()
        page.keyboard.type("0.25")
        page.keyboard.press("Enter")
        expect(row(page, "bare.png").locator(".number").first).to_have_text(str(len(DOTS)))


def test_what_runs_is_cancelled_from_the_list(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state", Blocking()) as environment:
        bring(environment, "slow.png", seed=1, options=MPP)
        page.goto(environment.address)
        expect(row(page, "slow.png").locator(".state")).to_contain_text("running")
        row(page, "slow.png").locator(".choose").check()
        page.locator("#cancel").click()
        expect(row(page, "slow.png").locator(".state")).to_contain_text("cancelled")


def test_what_one_read_is_told_from_what_one_did_not(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state") as environment:
        read = bring(environment, "read.png", seed=1, options=MPP)
        bring(environment, "new.png", seed=2, options=MPP)
        with httpx.Client(base_url=environment.address, timeout=LONGEST_S) as client:
            (made,) = client.get(f"/v1/analyses?slide={read}").json()["analyses"]
            page.goto(environment.address)
            expect(page.locator("#slides .state-succeeded")).to_have_count(2)
            said = {"action": "reject", "target": "detection-0"}
            client.post(f"{made['links']['self']}/reviews", json=said).raise_for_status()
        page.locator("#filter-reviewed").select_option("true")
        expect(page.locator("#slides .name")).to_have_text(["read.png"])
        expect(row(page, "read.png").locator(".number").nth(1)).to_contain_text(
            f"{len(DOTS) - 1}1 of {len(DOTS)} judged"
        )
        page.locator("#filter-reviewed").select_option("false")
        expect(page.locator("#slides .name")).to_have_text(["new.png"])


def test_hundreds_of_slides_are_found_a_page_at_a_time(page: Page, tmp_path: Path, shots: Path) -> None:
    state = tmp_path / "state"
    database = open_database(ServerSettings(state=state))
    fill_worklist(database, 500)
    database.close()
    names = page.locator("#slides .name")
    with serve(state) as environment:
        page.goto(environment.address)
        expect(page.locator("#page-said")).to_have_text("1 to 50 of 500 slides")
        expect(names).to_have_count(50)
        page.get_by_role("button", name="After").click()
        expect(page.locator("#page-said")).to_have_text("51 to 100 of 500 slides")
        expect(names.first).to_have_text("CASE-0012_2.svs")
        page.locator("#search").fill("0012 _3")
        expect(names).to_have_text(["CASE-0012_3.svs"])
        page.locator("#search").fill("no such")
        expect(page.locator("#no-slides")).to_contain_text("No slide is as you ask")
        page.get_by_role("button", name="Show all").click()
        expect(names).to_have_count(50)

        page.locator("#sort").select_option("figures descending")
        expect(page.locator("#slides .case")).to_have_count(0)
        expect(names).to_have_count(50)
        first = int(page.locator("#slides .number output").first.inner_text())
        assert first == 100
        page.locator("#filter-state").select_option("failed")
        expect(page.locator("#page-said")).to_have_text("1 to 50 of 100 slides")
        page.locator("#filter-warnings").select_option("true")
        expect(page.locator("#no-slides")).to_be_visible()  # what failed has no warnings
        page.locator("#filter-state").select_option("")
        warned = sum(i % 7 == 0 and STATES[i % len(STATES)] == "succeeded" for i in range(500))
        expect(page.locator("#page-said")).to_have_text(f"1 to {min(warned, 50)} of {warned} slides")
        case = page.locator("#slides .case-name").first.inner_text()
        page.locator("#slides .case-name").first.click()
        expect(page.locator("#filter-case")).to_have_value(case)
        expect(page.locator("#page-said")).to_contain_text("of 1 slide")
        page.get_by_role("button", name="Show all").click()

        page.locator("#choose-all").click()
        expect(page.locator("#chosen-count")).to_have_text("500 slides chosen")
        page.reload()  # the order is remembered
        expect(page.locator("#sort")).to_have_value("figures descending")
        page.screenshot(path=shots / "32-hundreds.png")


@pytest.mark.parametrize("width", [360, 768, 1440, 1920])
def test_the_list_fits_every_page_and_axe_finds_nothing(page: Page, tmp_path: Path, shots: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    with serve(tmp_path / "state") as environment:
        bring(environment, "CASE-1_a.png", seed=1, options=MPP)
        bring(
            environment,
            "CASE-1 with a long name that goes on and on.png",
            seed=2,
            options={**MPP, "roi": "0,0,600,700"},
        )
        bring(environment, "bare.png", seed=3, options={})
        page.goto(environment.address)
        expect(page.locator("#slides .state-succeeded")).to_have_count(2)
        expect(page.locator("#slides .state-failed")).to_have_count(1)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found = Axe().run(page).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
            page.screenshot(path=shots / f"33-list-{width}-{scheme}.png")
        wide = "() => [document.documentElement, document.getElementById('worklist')].map((e) => e.scrollWidth - e.clientWidth)"
        assert page.evaluate(wide) == [0, 0]
        for control in ("#show-worklist", "#help-open", "#search"):
            expect(page.locator(control)).to_be_in_viewport()
