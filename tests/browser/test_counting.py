"""The Count screen: what is counted where, what reviewers change, and that no two numbers on the page contradict each other."""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet
import pytest
import tifffile
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.environment import serve
from tests.browser.pointing import expect_place, settle
from tests.browser.scored import HEIGHT, POSSIBLE, SURE, WIDTH, Scored, open_as, score
from tests.browser.waiting import wait_until
from tests.fakes import plant, tissue
from tests.pdf_pages import count_pages
from tests.samples import write_pyramid
from tests.services import field, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    folder = tmp_path_factory.mktemp("counting")
    pixels = tissue(WIDTH, HEIGHT)
    for x, y in SURE:
        plant(pixels, x, y)
    for (x, y), side in POSSIBLE.items():
        plant(pixels, x, y, side=side)
    slide = write_pyramid(folder / "dots.tif", pixels, levels=4)
    with serve(folder / "state") as environment:
        yield score(environment, slide.read_bytes(), "case 7.tif")


def test_the_screen_opens_on_the_first_hotspot_and_says_what_is_counted(
    page: Page, scored: Scored, shots: Path
) -> None:
    open_as(page, scored, "opens")
    expect(page.locator("#window-model")).to_have_text(str(len(SURE)))
    expect(page.locator("#window-judged")).to_have_text(f"0 of {len(SURE)} judged")
    hotspot = scored.get("counts?review=own&reviewer=opens").json()["hotspots"][0]
    expect_place(page, hotspot["x"] + hotspot["width"] / 2, hotspot["y"] + hotspot["height"] / 2, 0.5)
    facts = page.locator("#window-counts .facts")
    for part in (f"{hotspot['area_mm2']:.2f} mm²", "% tissue", "per mm²", "cut-offs", "expected"):
        expect(facts).to_contain_text(part)
    page.locator("#source-open").click()
    expect(page.locator("#profile-source")).to_be_visible()
    expect(page.locator("#profile-source")).to_contain_text("Elston and Ellis")
    page.locator("#source-open").click()
    expect(page.locator("#strip-list button")).to_have_count(len(SURE) + len(POSSIBLE))
    expect(page.locator("#strip-list .possible")).to_have_count(len(POSSIBLE))
    expect(page.locator("#strip-list .picture[data-state=shown]").first).to_be_visible()
    box = page.locator("#strip-list .picture").first.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 140
    page.screenshot(path=shots / "20-count.png")


def test_keys_judge_and_go_on_and_every_number_follows(page: Page, scored: Scored, shots: Path) -> None:
    open_as(page, scored, "judges")
    page.locator("#slide").focus()
    page.keyboard.press("u")
    page.keyboard.press("r")
    expect(page.locator("#window-judged")).to_have_text(f"1 of {len(SURE)} judged")
    page.keyboard.press("a")
    expect(page.locator("#window-judged")).to_have_text(f"2 of {len(SURE)} judged")
    page.keyboard.press("4")
    expect(page.locator("#window-judged")).to_have_text(f"3 of {len(SURE)} judged")
    left = str(len(SURE) - 2)
    for place in ("#window-you", "#reviewed"):
        expect(page.locator(place)).to_have_text(left)
    expect(page.locator("#hotspots button").first).to_contain_text(f"model {len(SURE)}, you {left}")
    after = scored.get("counts?review=own&reviewer=judges").json()["review"]["hotspots"][0]
    assert after["reviewed"]["per_mm2"] < after["per_mm2"]
    density = f"{after['reviewed']['per_mm2']:.1f} per mm²"
    expect(page.locator("#hotspots-reviewed button").first).to_contain_text(density)
    page.get_by_role("tab", name="Review").click()
    line = page.locator("#tallies tr", has_text="judges")
    expect(line.locator("td").nth(1)).to_have_text(left)
    page.locator("#strip-filter").select_option("rejected")
    expect(page.locator("#strip-list button")).to_have_count(2)
    page.screenshot(path=shots / "21-judged.png")
    page.locator("#slide").focus()
    page.keyboard.press("Control+z")
    expect(page.locator("#window-judged")).to_have_text(f"2 of {len(SURE)} judged")
    page.locator("#strip-undo").click()
    expect(page.locator("#window-judged")).to_have_text(f"1 of {len(SURE)} judged")
    report = scored.get("report?review=own&reviewer=judges").json()
    assert report["review"]["counts"]["mitotic_figures"] == len(SURE) - 1
    assert report["hotspots"][0]["reviewed"]["mitotic_figures"] == len(SURE) - 1


def test_what_was_missed_is_found_and_accepted(page: Page, scored: Scored) -> None:
    open_as(page, scored, "finds")
    page.locator("#strip-filter").select_option("possible")
    page.locator("#strip-list button").first.click()
    page.locator("#strip-accept").click()
    expect(page.locator("#window-you")).to_have_text(str(len(SURE) + 1))
    expect(page.locator("#window-model")).to_have_text(str(len(SURE)))


def test_the_threshold_stops_at_what_is_stored_and_says_so(page: Page, scored: Scored) -> None:
    open_as(page, scored, "lowers", more="&threshold=0.07")
    expect(page.locator("#window-model")).to_have_text(str(len(SURE) + len(POSSIBLE)))
    page.locator("#slide").focus()
    for _ in range(3):
        page.keyboard.press("[")
    expect(page.locator("#toast")).to_contain_text("holds nothing below a probability of 0.050")
    expect(page.locator("#threshold-value")).to_have_text("0.050")
    page.locator("#threshold").fill("0.3")
    expect(page.locator("#window-model")).to_have_text(str(len(SURE) + 1))
    expect(page.locator("#count")).to_have_text(str(len(SURE) + 1))


def test_every_density_states_its_area(page: Page, scored: Scored) -> None:
    open_as(page, scored, "areas")
    area = scored.get("report").json()["counts"]["tissue_area_mm2"]
    expect(page.locator("#tissue")).to_have_text(f"{area:.2f} mm² of analysed tissue")
    expect(page.locator("#window-area")).to_contain_text("mm²")


def test_profiles_change_area_shape_and_cut_offs(page: Page, scored: Scored) -> None:
    open_as(page, scored, "profiles")
    page.locator("#profile").select_option("own")
    page.locator("#own-area").fill("0.1")
    page.locator("#own-cut-offs").fill("1,2")
    page.locator("#own-cut-offs").press("Enter")
    page.locator("#shape").select_option("disc")
    expect(page.locator("#window-area")).to_have_text("0.10 mm² disc")
    expect(page.locator("#window-component")).to_contain_text("Own cut-offs: 3 or more (cut-offs 1 and 2)")
    page.locator("#profile").select_option("gist")
    expect(page.locator("#profile-source")).to_contain_text("Gastrointestinal Stromal Tumor")
    expect(page.locator("#window-component")).to_contain_text("cut-offs are for 5 mm²")


def test_a_field_is_counted_by_the_server_where_it_lies(page: Page, scored: Scored) -> None:
    open_as(page, scored, "fields", more="&profile=own&area=0.1&shape=rectangle&x=2000&y=1400&zoom=0.5")
    page.locator("#slide").focus()
    page.keyboard.press("f")
    expect(page.locator("#window-choice option:checked")).to_contain_text("Field: model")
    middle = page.evaluate("async () => (await import('/viewer/lib/state.js')).state.field")
    asked = f"counts?profile=none&hotspot_area=0.1&field={middle['x']},{middle['y']}"
    counted = scored.get(asked).json()["fields"][0]
    expect(page.locator("#window-model")).to_have_text(str(counted["mitotic_figures"]))


def test_a_figure_is_added_once_and_inside_the_slide(page: Page, scored: Scored) -> None:
    open_as(page, scored, "adds", more="&x=1700&y=1600&zoom=1")
    expect_place(page, 1700, 1600, 1)
    settle(page, tiles=False)
    page.locator("#stage").hover()
    page.keyboard.press("n")
    expect(page.locator("#window-you")).to_have_text(str(len(SURE) + 1))
    page.keyboard.press("n")
    expect(page.locator("#toast")).to_contain_text("There is an object here already")
    expect(page.locator("#window-you")).to_have_text(str(len(SURE) + 1))
    page.evaluate("async () => (await import('/viewer/map/slide.js')).goTo(-900, -900, 1)")
    page.keyboard.press("n")
    expect(page.locator("#toast")).to_contain_text("There is no slide here")

    def list_recorded() -> list[str]:
        return [e["action"] for e in scored.get("reviews").json()["entries"] if e["reviewer"] == "adds"]

    until(lambda: len(list_recorded()) > 1)  # the page records behind what it shows
    assert list_recorded() == ["add", "accept"]


def test_exports_have_names_and_hold_what_is_seen(page: Page, scored: Scored) -> None:
    open_as(page, scored, "exports", more="&threshold=0.3")
    page.locator("#slide").focus()
    page.keyboard.press("u")
    page.keyboard.press("r")
    expect(page.locator("#window-you")).to_have_text(str(len(SURE)))
    names = page.locator("#export option").all_inner_texts()
    assert not [name for name in names if "/" in name]
    with page.expect_download() as download:
        page.locator("#export").select_option("json")
    assert download.value.suggested_filename == "case_7-report.json"
    report = json.loads(Path(download.value.path()).read_text())
    assert report["settings"]["counting"]["threshold"] == 0.3
    assert report["review"]["counts"]["mitotic_figures"] == len(SURE)
    with page.expect_download() as download:
        page.locator("#export").select_option("detections.csv")
    assert download.value.suggested_filename == "case_7-figures.csv"
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert sorted(row["verdict"] for row in rows) == ["Not mitosis"] + ["not judged"] * len(SURE)


OPEN_BY: dict[str, Callable[[Path], object]] = {
    ".pdf": lambda path: count_pages(path.read_bytes()),
    ".html": lambda path: path.read_text().index("<main"),
    ".json": lambda path: json.loads(path.read_text()),
    ".geojson": lambda path: json.loads(path.read_text())["features"],
    ".gz": lambda path: json.loads(gzip.decompress(path.read_bytes()))["features"],
    ".csv": lambda path: next(csv.DictReader(io.StringIO(path.read_text()))),
    ".parquet": pyarrow.parquet.read_table,
    ".xml": lambda path: ElementTree.fromstring(path.read_text()),
    ".png": lambda path: Image.open(path).load(),
    ".tif": tifffile.imread,
}
"""How what is downloaded is read, by the end of its name; each fails at what is none."""


def test_a_scientist_takes_home_every_format_that_the_page_offers(page: Page, scored: Scored) -> None:
    open_as(page, scored, "takes home")
    page.locator("#slide").focus()
    page.keyboard.press("u")
    page.keyboard.press("r")
    expect(page.locator("#window-you")).to_have_text(str(len(SURE) - 1))
    offered = page.locator("#export option:not([hidden]):not([value=''])")
    values = [option.get_attribute("value") for option in offered.all()]
    assert len(values) == 17 + 2  # of the result; then regions and corrections
    assert not [value for value in values if str(value).endswith(".dcm")], "this slide is none of DICOM"
    names = set()
    for value in values:
        with page.expect_download() as download:
            page.locator("#export").select_option(value)
        name = download.value.suggested_filename
        assert name.startswith("case_7-")
        OPEN_BY[Path(name).suffix](Path(download.value.path()))
        names.add(name)
    assert len(names) == len(values)


def test_reload_and_back_keep_what_one_looked_at(page: Page, scored: Scored) -> None:
    open_as(
        page,
        scored,
        "returns",
        more="&threshold=0.3&tab=review&window=hotspot-0&selected=detection-1&x=700&y=700&zoom=1",
    )
    expect(page.locator("#selected")).to_contain_text("detection-1")
    page.locator("#slide").focus()
    page.keyboard.press("f")
    expect(page).to_have_url(re.compile(r"window=field.*field=|field=.*window=field"))
    expect(page).to_have_url(re.compile("tab=review"))
    page.reload()
    expect(page.locator("#window-choice option:checked")).to_contain_text("Field: model")
    expect(page.locator("#selected")).to_contain_text("detection-1")
    expect(page.locator("#review")).to_be_visible()
    expect(page.locator("#threshold-value")).to_have_text("0.300")
    other = score(scored.environment, field(), "other.png")
    page.evaluate("async () => (await import('/viewer/worklist/worklist.js')).refresh()")
    page.keyboard.press("l")
    page.locator(f"#slides [data-slide='{other.slide}'] .name").click()
    expect(page.locator("#title")).to_have_text("other.png")
    expect(page.locator("#window-counts")).to_be_visible()
    page.go_back()
    expect(page.locator("#title")).to_have_text("case 7.tif")
    expect(page.locator("#threshold-value")).to_have_text("0.300")


def test_two_tabs_see_each_others_changes(browser: Browser, scored: Scored) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    one, two = context.new_page(), context.new_page()
    for page in (one, two):
        page.set_default_timeout(60_000)
        open_as(page, scored, "twice")
    one.bring_to_front()
    one.locator("#slide").focus()
    one.keyboard.press("u")
    one.keyboard.press("r")
    expect(one.locator("#window-you")).to_have_text(str(len(SURE) - 1))
    two.bring_to_front()
    expect(two.locator("#window-you")).to_have_text(str(len(SURE) - 1))
    context.close()


def test_keys_can_be_turned_off_and_the_focus_stays(page: Page, scored: Scored) -> None:
    open_as(page, scored, "keys")
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.locator("#hotspots button").first.focus()
    page.keyboard.press("[")
    expect(page.locator("#counting")).to_be_hidden()
    expect(page.locator("#threshold-value")).to_have_text("0.490")
    expect(page.locator("#hotspots button").first).to_be_focused()
    page.locator("#help-open").click()
    page.locator("#letters-off").check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("]")
    page.keyboard.press("j")
    expect(page.locator("#threshold-value")).to_have_text("0.490")
    expect(page.locator("#strip-list [aria-current=true]")).to_have_count(0)


def test_the_map_fades_towards_20x_and_the_legend_shows_its_colours(page: Page, scored: Scored) -> None:
    open_as(page, scored, "maps", more="&x=620&y=650&zoom=0.05")
    wait_until(page, "async () => (await import('/viewer/map/slide.js')).viewer.isOpen()")
    alpha = """async (zoom) => {
      const { goTo, placeAt, frame } = await import("/viewer/map/slide.js");
      const { state } = await import("/viewer/lib/state.js");
      const { draw } = await import("/viewer/map/overlay.js");
      for (const name of Object.keys(state.layers)) state.layers[name] = name === "map";
      state.field = null;
      goTo(620, 650, zoom);
      draw();
      const { left, top } = frame();
      const canvas = document.getElementById("overlay");
      const [x, y] = [left + 620 * zoom, top + 650 * zoom].map((n) => Math.round(n * devicePixelRatio));
      return canvas.getContext("2d").getImageData(x, y, 1, 1).data[3];
    }"""
    far, middle, near = (page.evaluate(alpha, zoom) for zoom in (0.06, 0.2, 0.5))
    assert far > middle > near == 0
    legend = """() => {
      const canvas = document.getElementById("legend-bar");
      const at = (share) => [...canvas.getContext("2d").getImageData(Math.floor(share * (canvas.width - 1)), 5, 1, 1).data];
      return [at(0), at(0.5), at(1)];
    }"""
    none, half, whole = page.evaluate(legend)
    assert none[3] == 0
    map_colour = """async () => {
      const { state } = await import("/viewer/lib/state.js");
      const { scores, canvas } = state.map;
      const best = scores.reduce((at, score, i) => (score > (scores[at] || 0) ? i : at), 0);
      const x = best % canvas.width, y = Math.floor(best / canvas.width);
      return [Math.min(scores[best], 1), ...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
    }"""
    score_, *colour = page.evaluate(map_colour)
    assert score_ == pytest.approx(1, abs=0.02)
    assert colour == pytest.approx(whole, abs=6)
    assert half[2] < half[0], "no blue or purple, which stains have"
