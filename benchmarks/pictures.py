"""The pictures of the viewer in README and docs: `python -m benchmarks.pictures`, a few minutes on two cores.

They show generated slides, scored by the released models; nobody's tissue. The first is the one that `python -m serving.demo` draws. Five of
its figures are judged as its truth says.
"""

import io
import sys
import tempfile
from math import hypot
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from serving.demo import SEED
from serving.scoring.matching import MATCH_RADIUS_UM
from serving.synthetic.slide import MPP, SlideTruth, generate_slide
from tests.browser.chromium import find_chromium
from tests.browser.pointing import settle
from tests.server_process import ServerProcess

ROOT = Path(__file__).parents[1]
SLIDES = {"B26-107 A1.tif": (SEED, 4096), "B26-107 A2.tif": (SEED + 1, 2048), "B26-112.tif": (SEED + 2, 2048)}
"""Seed and side, px, by name."""
JUDGED = 5
QUALITY = 82


def main() -> None:
    """Write all pictures into docs/images."""
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium; `make browser` says how to get one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = ServerProcess(folder, ROOT / "models").start()
        try:
            truths = [_bring(server.client, folder / name, *drawn) for name, drawn in SLIDES.items()]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
                page.set_default_timeout(900_000)
                expect.set_options(timeout=900_000)
                page.goto(str(server.client.base_url))
                _take(page, server.client, truths[0])
                browser.close()
        finally:
            server.stop()


def _bring(client: httpx.Client, path: Path, seed: int, side: int) -> SlideTruth:
    truth = generate_slide(path, seed=seed, width=side, height=side)
    with path.open("rb") as content:
        slide = client.post(
            "/v1/slides", params={"filename": path.name}, content=content, timeout=600
        ).raise_for_status()
    client.post("/v1/analyses", json={"slide": slide.json()["id"]}).raise_for_status()
    return truth


def _take(page: Page, client: httpx.Client, truth: SlideTruth) -> None:
    name = next(iter(SLIDES))
    expect(page.locator("#slides .state-succeeded")).to_have_count(len(SLIDES))
    page.locator("#slides .name", has_text=name).click()
    expect(page.locator("#window-counts")).to_be_visible()
    page.keyboard.press("0")
    _save(page, "viewer-map")
    page.keyboard.press("u")
    (analysis,) = (one for one in client.get("/v1/analyses").json()["analyses"] if one["slide_name"] == name)
    found = client.get(f"/v1/analyses/{analysis['id']}/report").json()
    for judged in range(1, JUDGED + 1):
        chosen = page.locator("#strip-list [aria-current=true]").get_attribute("data-id")
        page.keyboard.press("a" if _is_figure(found, str(chosen), truth) else "r")
        expect(page.locator("#window-judged")).to_contain_text(f"{judged} of")
    expect(page.locator("#counting")).to_be_hidden()
    _save(page, "viewer-count")
    page.keyboard.press("l")
    expect(page.locator("#slides .slide-row", has_text=name).locator(".number").nth(1)).to_contain_text("judged")
    _save(page, "viewer-worklist")


def _is_figure(report: dict[str, object], target: str, truth: SlideTruth) -> bool:
    boxes = report["detections"]
    assert isinstance(boxes, list)
    box = boxes[int(target.removeprefix("detection-"))]
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    radius = MATCH_RADIUS_UM / MPP
    return any(
        hypot((left + right) / 2 - x, (top + low) / 2 - y) <= radius for left, top, right, low in truth.mitotic_figures
    )


def _save(page: Page, name: str) -> None:
    if name != "viewer-worklist":
        settle(page)
        for picture in page.locator("#strip-list .picture").all()[:4]:
            expect(picture).to_have_attribute("data-state", "shown")
    path = ROOT / "docs" / "images" / f"{name}.jpg"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=QUALITY, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
