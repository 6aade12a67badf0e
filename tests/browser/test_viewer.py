"""The web viewer in a real browser on a real server: from a dropped file to a review that is still there."""

import base64
import json
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, Route, expect
from scipy import ndimage

from serving.access.access import open_access
from serving.settings import ServerSettings
from serving.synthetic.artefacts import KINDS
from serving.synthetic.slide import TRUTH_PX, artefacts_path, generate_slide
from tests.browser.environment import PARTIAL, WHOLE, draw_dotted_slide, serve
from tests.browser.pointing import expect_place, settle
from tests.limits import LONGEST_S
from tests.services import Blocking, until

pytestmark = pytest.mark.e2e

COUNTED = re.compile(r"\d+")

DROP = """
([name, text]) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { lastModified: 0 }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}
"""


def drop(page: Page, path: Path) -> None:
    page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])


def open_slide(page: Page, name: str) -> None:
    """Click a slide in the worklist, once it is there."""
    page.locator("#slides .name", has_text=name).click()


def bring(page: Page, path: Path) -> None:
    """Drop a slide and open it."""
    drop(page, path)
    open_slide(page, path.name)


def test_from_a_dropped_slide_to_a_kept_review(page: Page, tmp_path: Path, shots: Path) -> None:
    detector = Blocking()
    slide = draw_dotted_slide(tmp_path / "dots.tif")
    everything = len(WHOLE) + len(PARTIAL)
    with serve(tmp_path / "state", detector) as environment:
        page.goto(environment.address)
        expect(page.get_by_text("Research use only", exact=True)).to_be_visible()
        page.screenshot(path=shots / "01-empty.png")

        drop(page, slide)
        expect(page.locator("#slides .state")).to_contain_text("running")
        expect(page.locator("#middle")).to_be_hidden()  # an upload never takes the screen away
        open_slide(page, "dots.tif")
        expect(page.locator("#state")).to_contain_text("being scored")
        settle(page)
        page.screenshot(path=shots / "02-progress.png")
        detector.released.set()

        expect(page.locator("#count")).to_have_text(str(everything))
        settle(page)
        expect(page.locator("#legend")).to_be_hidden()  # figures are judged here, and the map has faded
        page.locator("#slide").focus()
        page.keyboard.press("0")
        expect(page.locator("#legend")).to_be_visible()
        settle(page)
        page.screenshot(path=shots / "03-map.png")

        page.locator("#threshold").fill("0.65")
        expect(page.locator("#count")).to_have_text(str(everything - 1))
        page.locator("#threshold").fill("0.9")
        expect(page.locator("#count")).to_have_text(str(len(WHOLE)))
        page.screenshot(path=shots / "04-threshold.png")
        page.locator("#threshold-reset").click()

        expect(page.locator("#count")).to_have_text(str(everything))
        page.locator("#hotspots button").first.click()
        settle(page)
        page.screenshot(path=shots / "05-hotspot.png")

        page.get_by_role("tab", name="Candidates").click()
        expect(page.locator("#gallery button")).to_have_count(everything)
        page.locator("#gallery button").last.click()
        settle(page)
        page.screenshot(path=shots / "06-candidates.png")

        page.get_by_role("tab", name="Review").click()
        page.locator("#reviewer").fill("Dr. A")
        page.locator("#reviewer").press("Enter")
        expect(page.locator("#selected")).to_contain_text("detection-")
        page.locator("#slide").focus()
        page.keyboard.press("r")
        expect(page.locator("#record li")).to_have_count(1)
        settle(page, tiles=False)  # a verdict chooses the next figure, and goes there
        page.locator("#slide").hover(position={"x": 300, "y": 150})
        page.keyboard.press("n")
        expect(page.locator("#record li")).to_have_count(2)
        expect(page.locator("#tallies")).to_contain_text("Dr. A")
        page.screenshot(path=shots / "07-review.png")

        page.get_by_role("tab", name="Counts").click()
        expect(page.locator("#count")).to_have_text(str(everything))  # the model's own count stays
        expect(page.locator("#reviewed-how")).to_contain_text("0 accepted, 1 rejected, 1 added")
        expect(page.locator("#reviewed")).to_have_text(str(everything))

        with page.expect_download() as download:
            page.locator("#export").select_option("corrections")
        corrections = json.loads(Path(download.value.path()).read_text())
        names = [f["properties"]["classification"]["name"] for f in corrections["features"]]
        assert sorted(names) == ["Mitosis", "Not mitosis", "Reviewed area", "Reviewed area"]

        page.reload()
        expect(page.locator("#reviewed-how")).to_contain_text("0 accepted, 1 rejected, 1 added")
        settle(page)
        page.get_by_role("tab", name="Review").click()
        expect(page.locator("#record li")).to_have_count(2)
        page.screenshot(path=shots / "08-reloaded.png")
        page.locator("#undo").click()
        expect(page.locator("#record li")).to_have_count(3)
        expect(page.locator("#record .undone")).to_have_count(1)


def test_it_is_accessible_and_fits_a_tablet(page: Page, tmp_path: Path, shots: Path) -> None:
    slide = draw_dotted_slide(tmp_path / "dots.tif")
    with serve(tmp_path / "state") as environment:
        page.goto(environment.address)
        bring(page, slide)
        expect(page.locator("#count")).to_have_text(COUNTED)
        serious = []
        for tab in ("Counts", "Candidates", "Review", "Layers"):
            page.get_by_role("tab", name=tab).click()
            found = Axe().run(page).response["violations"]
            serious += [(tab, v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]
        assert serious == []
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("next hotspot")
        page.screenshot(path=shots / "09-help.png")
        page.keyboard.press("Escape")
        for name, width, height in (("10-tablet", 1024, 768), ("11-upright", 768, 1024)):
            page.set_viewport_size({"width": width, "height": height})
            page.get_by_role("tab", name="Counts").click()
            page.screenshot(path=shots / f"{name}.png")
            for control in ("#threshold", "#show-worklist", "#help-open", "#zoom-in"):
                expect(page.locator(control)).to_be_in_viewport()


def test_the_worklist_and_the_slide_take_turns_and_keys_act_on_what_is_seen(page: Page, tmp_path: Path) -> None:
    worklist, slide, panel = page.locator("#worklist"), page.locator("#middle"), page.locator("#panel")
    with serve(tmp_path / "state") as environment:
        page.goto(environment.address)
        expect(worklist).to_be_visible()
        expect(slide).to_be_hidden()
        expect(page.locator("#show-slide")).to_be_disabled()
        bring(page, draw_dotted_slide(tmp_path / "dots.tif"))
        expect(page.locator("#window-judged")).to_contain_text("0 of")
        expect(worklist).to_be_hidden()
        place = page.evaluate("async () => (await import('/viewer/map/slide.js')).position()")
        page.keyboard.press("l")
        expect(worklist).to_be_visible()
        expect(slide).to_be_hidden()
        for key in ("a", "r", "n", "Control+z", "ArrowRight"):  # nothing is judged or moved that is not seen
            page.keyboard.press(key)
        page.keyboard.press("l")
        expect(slide).to_be_visible()
        expect(page.locator("#window-judged")).to_contain_text("0 of")
        assert page.evaluate("async () => (await import('/viewer/map/slide.js')).position()") == place
        page.keyboard.press("p")
        expect(panel).to_be_hidden()
        page.keyboard.press("p")
        expect(panel).to_be_visible()


def find_middle(slide: Path, kind: str) -> tuple[float, float]:
    """The place of an artefact of a generated slide that is farthest from its edge, (x, y), level-0 px."""
    there = np.asarray(Image.open(artefacts_path(slide))) == 1 + KINDS.index(kind)
    far = ndimage.distance_transform_edt(there)
    row, column = np.unravel_index(int(far.argmax()), far.shape)
    return (column + 0.5) * TRUTH_PX, (row + 0.5) * TRUTH_PX


def test_what_is_tissue_and_what_is_masked_are_layers_with_a_legend(page: Page, tmp_path: Path, shots: Path) -> None:
    slide = tmp_path / "spoilt.tif"
    generate_slide(slide, seed=2, width=3200, height=3000, tissue_fraction=0.9, artefacts=KINDS)
    with serve(tmp_path / "state") as environment:
        page.goto(environment.address)
        bring(page, slide)
        expect(page.locator("#count")).to_have_text(COUNTED)
        legend = page.locator("#mask-legend")
        expect(legend).to_be_hidden()
        page.locator("#slide").focus()
        page.keyboard.press("b")
        page.get_by_role("tab", name="Layers").click()
        expect(page.locator("#layer-quality")).to_be_checked()
        report = page.evaluate("async () => (await import('/viewer/lib/state.js')).state.report")
        areas = {a["reason"]: a["area_mm2"] for a in report["quality"]["areas"]}
        for kind in KINDS:
            assert areas[kind] > 0
            expect(legend.locator("li", has_text=kind)).to_contain_text(f"{areas[kind]:.3f} mm²")
        settle(page)
        page.screenshot(path=shots / "12-quality.png")

        reason_at = "async (at) => (await import('/viewer/lib/state.js')).state.mask.reasonAt(...at)"
        assert {kind: page.evaluate(reason_at, find_middle(slide, kind)) for kind in KINDS} == {k: k for k in KINDS}
        x, y = find_middle(slide, "fold")
        page.evaluate("async (at) => (await import('/viewer/map/slide.js')).goTo(...at, 0.5)", [x, y])
        settle(page, tiles=False)
        page.locator("#stage").hover()  # its middle
        expect(page.locator("#hover")).to_contain_text("masked: fold")
        page.screenshot(path=shots / "13-fold.png")

        page.locator("#slide").focus()
        page.keyboard.press("q")
        page.keyboard.press("0")
        expect(legend.locator("li", has_text="tissue")).to_contain_text(f"{report['tissue']['area_mm2']:.3f} mm²")
        settle(page)
        page.screenshot(path=shots / "14-tissue.png")
        found = Axe().run(page).response["violations"]
        assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
        page.keyboard.press("b")
        page.keyboard.press("q")
        expect(legend).to_be_hidden()


def test_an_upload_goes_on_after_a_cut_and_after_a_reload(page: Page, tmp_path: Path) -> None:
    """Pieces that the server has are not sent again, neither by the page that sent them nor by the next one."""
    slide = draw_dotted_slide(tmp_path / "dots.tif", compression=None)
    offsets: list[int] = []
    cut: set[int] = set()

    def pass_on(route: Route) -> None:
        if route.request.method == "PATCH":
            offsets.append(int(route.request.headers["upload-offset"]))
            if len(offsets) in cut:
                return route.abort("connectionreset")
        return route.continue_()

    with serve(tmp_path / "state") as environment:
        page.goto(environment.address)
        page.route("**/v1/uploads/*", pass_on)
        cut |= {2, *range(4, 100)}
        drop(page, slide)
        expect(page.locator("#uploads progress")).to_be_visible()
        while len(offsets) < 4:
            page.wait_for_timeout(50)  # lets the page go on; the test's own limit ends it
        first, second, again, third = offsets[:4]
        assert first == 0 < second == again < third

        page.reload()
        offsets.clear()
        cut.clear()
        bring(page, slide)
        expect(page.locator("#count")).to_have_text(str(len(WHOLE) + len(PARTIAL)))
        assert offsets[0] == third


def test_figures_lie_where_they_are_shown_whatever_sides_of_the_pixels_were_stated(page: Page, tmp_path: Path) -> None:
    """The file states nothing, and somebody says that its pixels are twice as long as wide: the slide is shown so."""
    slide = draw_dotted_slide(tmp_path / "dots.tif", mpp=None)
    with serve(tmp_path / "state") as environment:
        with httpx.Client(base_url=environment.address, timeout=LONGEST_S) as client:
            stored = client.post("/v1/slides", files={"slide": ("dots.tif", slide.read_bytes())}).json()
            wanted = {"slide": stored["id"], "options": {"mpp": "0.25,0.5"}}
            job = client.post("/v1/analyses", json=wanted).json()
            until(lambda: client.get(job["links"]["self"]).json()["state"] == "succeeded")
            report = client.get(job["links"]["report"]).json()
        found = report["detections"][0]
        x, y = found["x"] + found["width"] / 2, found["y"] + found["height"] / 2
        page.goto(f"{environment.address}/v1/analyses/{job['id']}/view")
        expect(page.locator("#count")).to_have_text(str(len(report["detections"])))
        page.evaluate("async ([x, y]) => { (await import('/viewer/map/slide.js')).goTo(x, y, 1); }", [x, y])
        settle(page)
        colour = page.evaluate(
            """async ([x, y]) => {
              const { frame, viewer } = await import("/viewer/map/slide.js");
              const { zoom, left, top } = frame();
              const canvas = viewer.drawer.canvas;
              const ratio = canvas.width / canvas.clientWidth;
              return [...canvas.getContext("2d").getImageData((left + x * zoom) * ratio, (top + y * zoom) * ratio, 1, 1).data];
            }""",
            [x, y],
        )
        assert colour[0] < 60, "the pixel under the middle of the box is the figure's, which is blue in pink tissue"


def test_the_key_is_asked_for_once_and_nothing_is_seen_without(page: Page, tmp_path: Path) -> None:
    state = tmp_path / "state"
    token, _ = open_access(ServerSettings(state=state)).keys.create("lab", ["score"])
    with serve(state) as environment:
        page.goto(environment.address)
        field = page.get_by_label("Key", exact=True)
        expect(field).to_be_visible()
        field.fill("mito_wrong")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#key-problem")).to_contain_text(
            "This key does not open: the key is unknown or was revoked"
        )
        field.fill(token)
        page.get_by_role("button", name="Continue").click()
        bring(page, draw_dotted_slide(tmp_path / "dots.tif"))
        expect(page.locator("#count")).to_have_text(str(len(WHOLE) + len(PARTIAL)))
        settle(page)


def test_a_link_opens_its_position_and_a_frame_is_told(page: Page, tmp_path: Path) -> None:
    with serve(tmp_path / "state") as environment:
        page.goto(environment.address)
        bring(page, draw_dotted_slide(tmp_path / "dots.tif"))
        expect(page.locator("#count")).to_have_text(COUNTED)
        analysis = page.evaluate("async () => (await import('/viewer/lib/state.js')).state.analysis.id")
        page.goto("about:blank")
        page.goto(f"{environment.address}/v1/analyses/{analysis}/view#x=500&y=600&zoom=2")
        expect(page.locator("#count")).to_have_text(COUNTED)
        expect_place(page, 500, 600, 2)
        page.goto(f"{environment.address}/viewer/example.html#{analysis}")
        # First it says that nothing is open.
        expect(page.locator("#said")).to_contain_text(f'"type":"mitoserve:opened","analysis":"{analysis}"')
        page.get_by_role("button", name="Threshold 0.9").click()
        expect(page.locator("#said")).to_contain_text(f'"threshold":0.9,"count":{len(WHOLE)}')
