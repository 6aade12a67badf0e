"""How fast the viewer is: `python -m benchmarks.viewer [--only slide|worklist|memory]`.

A slide of 100,000 x 100,000 px is opened in a browser with 100,000 detections, drawn at random places. Prints how
long a pan or zoom takes from its call to the second frame after it, which shows it; then how long the server takes for a
tile that it has made before (warm) and for one that it has not, one request after the other. Then 500 slides in the worklist:
from what somebody does to the frame that shows the rows. Last, two slides are opened in turns, a hundred times in one page: what it holds
after its garbage was collected.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import tifffile
from playwright.sync_api import CDPSession, expect, sync_playwright

from serving.api.deepzoom import DeepZoom
from serving.settings import ServerSettings
from serving.store.database import open_database
from tests.browser.chromium import find_chromium
from tests.browser.environment import draw_dotted_slide, serve
from tests.browser.pointing import settle
from tests.browser.scored import score
from tests.quick_models import write_quick_models
from tests.samples import noise
from tests.server_process import ServerProcess
from tests.worklists import fill_worklist

SIDE, DETECTIONS = 100_000, 100_000
TILES = 200
STORED_PX = 256

MEASURE = """
async ([side, count]) => {
  const { state, emit } = await import("/viewer/lib/state.js");
  const { Candidates } = await import("/viewer/map/candidates.js");
  const { viewer } = await import("/viewer/map/slide.js");
  const { draw } = await import("/viewer/map/overlay.js");
  const random = () => Math.random() * side;
  const list = Array.from({ length: count }, (_, i) => ({ id: `detection-${i}`, x: random(), y: random(), width: 40, height: 40, probability: Math.random() }));
  Object.assign(state, { candidates: new Candidates(list), threshold: 0 });
  state.report = { slide: { width: side, height: side, mpp: 0.25 }, tiles: [], hotspots: [], warnings: [], models: [{ thresholds: { detection: 0 } }],
    counts: { mitotic_figures: count, tissue_area_mm2: 1 } };
  emit("opened");
  const shown = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await shown();
  const times = { pan: [], zoom: [], draw: [], threshold: [] };
  const timed = async (kind, act) => {
    const start = performance.now();
    act();
    await shown();
    times[kind].push(performance.now() - start);
  };
  const home = viewer.viewport.getHomeZoom();
  for (let step = 0; step < 12; step++) {
    await timed("zoom", () => viewer.viewport.zoomTo(home * 2 ** (step * 0.75), null, true));
    for (let i = 0; i < 8; i++) {
      const width = viewer.viewport.getBounds().width;
      await timed("pan", () => viewer.viewport.panBy(new OpenSeadragon.Point(width * (i % 2 ? -0.2 : 0.2), width * 0.05), true));
      const start = performance.now();
      draw();
      times.draw.push(performance.now() - start);
    }
    await timed("threshold", () => { state.threshold = Math.random(); emit("threshold"); });
  }
  return times;
}
"""


SLIDES = 500
WORKLIST = """
async (rounds) => {
  const { element } = await import("/viewer/lib/dom.js");
  const { refresh } = await import("/viewer/worklist/worklist.js");
  const shown = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const times = { search: [], filter: [], sort: [], page: [] };
  const drawn = () => new Promise((done) => {
    const watch = new MutationObserver(() => { watch.disconnect(); done(); });
    watch.observe(element("slides"), { childList: true });
  });
  const timed = async (kind, act, read = refresh) => {
    await new Promise((done) => setTimeout(done, REST));
    const start = performance.now();
    const rows = drawn();
    act();
    const ended = read();
    await Promise.race([rows, ended]);  /* what changes no row is read to its end */
    await shown();
    times[kind].push(performance.now() - start);
    await ended;
  };
  for (let i = 0; i < rounds; i++) {
    await timed("search", () => { element("search").value = `case 00${i}`; });
    element("search").value = "";
    await timed("filter", () => { element("filter-state").value = i % 2 ? "failed" : "succeeded"; });
    element("filter-state").value = "";
    await timed("sort", () => { element("sort").value = i % 2 ? "case ascending" : "figures descending"; });
    await timed("page", () => element(element("page-after").disabled ? "page-before" : "page-after").click(), drawn);
  }
  return times;
}
"""
"""The wait for the end of typing is not in it."""
ROUNDS, REST_MS = 12, 1500
"""Between two things that somebody does: pictures come meanwhile."""
OPENINGS, EVERY = 100, 10
WATCHED = ("JSHeapUsedSize", "Nodes", "JSEventListeners", "Documents")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.viewer")
    parser.add_argument("--only", choices=("slide", "worklist", "memory"), help="one part; by default all")
    only = parser.parse_args().only
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium; `make browser` says how to get one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if only != "memory":
            _with_server(chromium, folder, only)
        if only in (None, "memory"):
            _memory(chromium, folder)


def _with_server(chromium: Path, folder: Path, only: str | None) -> None:
    server = ServerProcess(folder, write_quick_models(folder / "models")).start()
    try:
        if only != "worklist":
            slide = folder / "slide.tif"
            write_large_slide(slide)
            with slide.open("rb") as content:
                answer = server.client.post("/v1/slides?filename=slide.tif", content=content, timeout=600)
            _browser(chromium, server.port, answer.raise_for_status().json()["id"])
            _tiles(server.client, answer.json()["id"])
        if only != "slide":
            database = open_database(ServerSettings(state=server.state))
            fill_worklist(database, SLIDES)
            database.close()
            _worklist(chromium, server.port)
    finally:
        server.stop()
    shutil.rmtree(server.state)


def write_large_slide(path: Path) -> None:
    """A pyramid of noise: a few tiles, compressed once and written over and over, cost what any tiles cost to read."""
    pixels = noise(STORED_PX * 8, STORED_PX)
    cut = [pixels[:, n * STORED_PX : (n + 1) * STORED_PX] for n in range(8)]
    tiles = [imagecodecs.jpeg_encode(tile, level=60) for tile in cut]
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        side = SIDE
        for level in range(5):
            count = (-(-side // STORED_PX)) ** 2
            tiff.write(
                (tiles[n % len(tiles)] for n in range(count)),
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(STORED_PX, STORED_PX),
                photometric="ycbcr",
                compression="jpeg",
                subfiletype=int(level > 0),
                metadata=None,
                resolution=(40_000 / 4**level, 40_000 / 4**level),
                resolutionunit="CENTIMETER",
            )
            side = -(-side // 4)


def _browser(chromium: Path, port: int, slide: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://127.0.0.1:{port}/#slide={slide}")
        page.wait_for_selector("#copy-link:enabled")
        page.wait_for_timeout(3000)  # the first view, which has no event of its own
        times: dict[str, Any] = page.evaluate(MEASURE, [SIDE, DETECTIONS])
        browser.close()
    for kind, taken in times.items():
        _print(f"{DETECTIONS} detections, {kind}", taken)


def _worklist(chromium: Path, port: int) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://127.0.0.1:{port}")
        page.wait_for_selector("#slides .slide-row")
        times: dict[str, Any] = page.evaluate(WORKLIST.replace("REST", str(REST_MS)), ROUNDS)
        browser.close()
    for kind, taken in times.items():
        _print(f"{SLIDES} slides, {kind}", taken)


def _memory(chromium: Path, folder: Path) -> None:
    with serve(folder / "dotted") as environment, sync_playwright() as playwright:
        # Another resolution makes another file.
        slides = [draw_dotted_slide(folder / f"{mpp}.tif", mpp=mpp) for mpp in (0.25, 0.26)]
        links = [score(environment, slide.read_bytes(), slide.name).link for slide in slides]
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(environment.address)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        for opening in range(1, OPENINGS + 1):
            which = opening % len(slides)
            page.evaluate("(hash) => { location.hash = hash; }", links[which].split("#")[1])
            expect(page.locator("#title")).to_have_text(slides[which].name)
            expect(page.locator("#window-counts")).to_be_visible()
            expect(page.locator("#strip-list .picture[data-state=shown]").first).to_be_visible()
            settle(page)
            if opening % EVERY == 0:
                print(f"{opening} openings: {_held(session)}")
        browser.close()


def _held(session: CDPSession) -> str:
    """What a page holds once its garbage was collected, in words."""
    session.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    heap, *counts = (found[name] for name in WATCHED)
    return f"{heap / 2**20:.2f} MiB, " + ", ".join(
        f"{value:.0f} {name}" for value, name in zip(counts, WATCHED[1:], strict=True)
    )


def _tiles(client: httpx.Client, slide: str) -> None:
    chosen, pyramid = random.Random(0), DeepZoom(SIDE, SIDE)
    addresses = []
    while len(addresses) < TILES:
        level = chosen.randrange(9, pyramid.levels)
        columns = -(-pyramid.size(level)[0] // 512)
        addresses.append(
            f"/v1/slides/{slide}/deepzoom_files/{level}/{chosen.randrange(columns)}_{chosen.randrange(columns)}.jpeg"
        )
    lists = {"first time": addresses, "warm": addresses, "GET /livez beside them": ["/livez"] * TILES}
    for kind, asked in lists.items():
        taken = []
        for address in asked:
            start = time.perf_counter()
            client.get(address).raise_for_status()
            taken.append(1000 * (time.perf_counter() - start))
        _print(f"tiles, {kind}", taken)


def _print(what: str, taken: list[float]) -> None:
    p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1]
    print(
        f"{what}, {len(taken)} times: median {statistics.median(taken):.1f} ms, p95 {p95:.1f} ms, most {max(taken):.1f} ms"
    )


if __name__ == "__main__":
    main()
