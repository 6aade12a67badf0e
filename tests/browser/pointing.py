"""Pointing at places of the slide: only once it stands still, since a place on the screen is another one while it moves."""

from playwright.sync_api import Page

from tests.browser.waiting import wait_until

STANDS = """
async (withTiles) => {
  const { viewer } = await import("/viewer/map/slide.js");
  const stands = () => {
    const image = viewer.world.getItemAt(0);
    if (!viewer.isOpen() || !image || (withTiles && !image.getFullyLoaded())) return false;
    const [now, aim] = [viewer.viewport.getBoundsNoRotate(true), viewer.viewport.getBoundsNoRotate(false)];
    const [size, place] = [viewer.viewport.getContainerSize(), document.getElementById("slide")];
    const near = (a, b) => Math.abs(a - b) < 1e-6;
    const isThere = near(now.x, aim.x) && near(now.y, aim.y) && near(now.width, aim.width) && near(now.height, aim.height);
    return isThere && near(size.x, place.clientWidth) && near(size.y, place.clientHeight);
  };
  for (let frames = 0; frames < 3; frames++) {
    if (!stands()) return false;
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  return stands();
}
"""
"""Whether the camera is where it was sent, in the room that the page gives it, and stays there."""
ON_SCREEN = """
async ([x, y]) => {
  const { frame } = await import("/viewer/map/slide.js");
  const [at, corner] = [frame(), document.getElementById("stage").getBoundingClientRect()];
  return [corner.left + at.left + x * at.zoom, corner.top + at.top + y * at.zoom];
}
"""


def settle(page: Page, *, tiles: bool = True) -> None:
    """Wait until the slide stands still. tiles : and has every tile that it needs"""
    wait_until(page, STANDS, arg=tiles)


def expect_place(page: Page, x: float, y: float, zoom: float) -> None:
    """Wait until a place of the slide, level-0 px, is in the middle. zoom : px of the screen per level-0 px"""
    wait_until(
        page,
        """async ([x, y, zoom]) => {
          const at = (await import("/viewer/map/slide.js")).position();
          return Math.abs(at.x - x) < 5 && Math.abs(at.y - y) < 5 && Math.abs(at.zoom / zoom - 1) < 0.02;
        }""",
        arg=[x, y, zoom],
    )


def find_on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the slide, level-0 px, is once the slide stands still, px of the page."""
    settle(page, tiles=False)
    found = page.evaluate(ON_SCREEN, [x, y])
    return found[0], found[1]


def click(page: Page, x: float, y: float, *, held_ms: float = 0) -> None:
    """Click a place of the slide, level-0 px. held_ms : how long the button is down"""
    page.mouse.click(*find_on_screen(page, x, y), delay=held_ms)


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Drag over places of the slide, level-0 px, which does not move meanwhile."""
    on_screen = [find_on_screen(page, *place) for place in places]
    page.mouse.move(*on_screen[0])
    page.mouse.down()
    for place in on_screen[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()
