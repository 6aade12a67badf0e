// The slide itself: tiles by OpenSeadragon, and the two frames, level-0 px and px of the screen.

import { authorization, here } from "../lib/api.js";
import { onReconnected, reach } from "../lib/connection.js";
import { element, movesLess } from "../lib/dom.js";
import { state } from "../lib/state.js";
import { openSource, reloadLostTiles } from "../lib/tiles.js";

const OSD = window.OpenSeadragon;
const TILE = 512;
const MOST_ENLARGED = 4;
const NICE = [1, 2, 5];
const NEAR_SHARE = 0.8; // of the screen, inside which a place is seen well enough not to move
const AGAIN_MS = 10000;

/** @type {any} Its own types leave out what is used of it here: `innerTracker`, and a tile source that is an object. */
export const viewer = new OSD.Viewer({
  element: element("slide"),
  drawer: ["canvas"],
  showNavigationControl: false,
  showNavigator: true,
  navigatorPosition: "TOP_LEFT",
  navigatorSizeRatio: 0.17,
  navigatorBackground: "#fff",
  navigatorBorderColor: "#b6bccb",
  navigatorDisplayRegionColor: "#5b2a86",
  loadTilesWithAjax: true,
  ajaxHeaders: {},
  animationTime: movesLess() ? 0 : 0.4,
  springStiffness: 9,
  blendTime: movesLess() ? 0 : 0.1,
  maxZoomPixelRatio: MOST_ENLARGED,
  visibilityRatio: 0.3,
  minZoomImageRatio: 0.5,
  imageLoaderLimit: 4,
  tileRetryMax: 3,
  tileRetryDelay: 1500,
  clickTimeThreshold: Infinity, // whoever presses for long, or on a busy machine, clicks as well: only a pointer that moves does not
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  gestureSettingsTouch: { clickToZoom: false },
  gestureSettingsPen: { clickToZoom: false },
  preserveImageSizeOnResize: true,
});
for (const shown of [viewer, viewer.navigator]) reloadLostTiles(shown);
viewer.innerTracker.keyHandler = null; // keys.js has all keys
viewer.innerTracker.keyDownHandler = null;

/** Show a slide in its frame of `width` x `height` px; resolves when its first view is there. Of a deleted one the frame is blank. */
export async function showSlide({ id, width, height, deleted = false }) {
  viewer.setAjaxHeaders(authorization(), true);
  const failure = await openSource(viewer, {
    width,
    height,
    tileSize: TILE,
    tileOverlap: 0,
    ...(deleted ? { tileExists: () => false } : {}),
    getTileUrl: (level, column, row) => here(`/v1/slides/${id}/deepzoom_files/${level}/${column}_${row}.jpeg?frame=${width},${height}`),
  });
  if (failure) throw new Error(failure.message);
}

/** Screen px per level-0 px, and the place of level-0 (0, 0) on the screen, as they are at this moment. */
export function frame() {
  const bounds = viewer.viewport.getBoundsNoRotate(true);
  const width = viewer.viewport.getContainerSize().x;
  const zoom = width / (bounds.width * state.slide.width);
  return { zoom, left: -bounds.x * state.slide.width * zoom, top: -bounds.y * state.slide.width * zoom };
}

/** The level-0 rectangle that is on the screen. */
export function visible() {
  const { zoom, left, top } = frame();
  const size = viewer.viewport.getContainerSize();
  return { x: -left / zoom, y: -top / zoom, width: size.x / zoom, height: size.y / zoom };
}

/** The place in level-0 px under a point of the screen (px from the stage's corner). */
export function placeAt(x, y) {
  const { zoom, left, top } = frame();
  return { x: (x - left) / zoom, y: (y - top) / zoom };
}

/** The middle of the screen and its zoom, which links hold. */
export function position() {
  const seen = visible();
  return { x: seen.x + seen.width / 2, y: seen.y + seen.height / 2, zoom: frame().zoom };
}

/** Whether a place (level-0 px) is well inside the screen, and at least as large as `zoom` shows it. */
export function isNear(x, y, zoom) {
  if (!viewer.isOpen() || frame().zoom < zoom * 0.9) return false;
  const seen = visible();
  return Math.abs(x - seen.x - seen.width / 2) < (seen.width * NEAR_SHARE) / 2 && Math.abs(y - seen.y - seen.height / 2) < (seen.height * NEAR_SHARE) / 2;
}

/** Go to a place (level-0 px); `zoom` is screen px per level-0 px. */
export function goTo(x, y, zoom, { at = "once" } = {}) {
  const size = viewer.viewport.getContainerSize();
  const width = size.x / zoom / state.slide.width;
  const height = size.y / zoom / state.slide.width;
  const box = new OSD.Rect(x / state.slide.width - width / 2, y / state.slide.width - height / 2, width, height);
  viewer.viewport.fitBounds(box, at === "once" || movesLess());
}

/** Show a rectangle (level-0 px) with some room around it. */
export function goToBox(box, room = 1.15) {
  const size = viewer.viewport.getContainerSize();
  const zoom = Math.min(size.x / box.width, size.y / box.height) / room;
  goTo(box.x + box.width / 2, box.y + box.height / 2, Math.min(zoom, MOST_ENLARGED), { at: "glide" });
}

/** Draw the scale bar: the longest round length that fits. */
export function drawScale() {
  const place = element("scale");
  const mpp = state.report?.slide.mpp ?? state.slide?.mpp;
  place.hidden = !mpp;
  if (!mpp) return;
  const umPerPx = mpp / frame().zoom;
  const longest = 140 * umPerPx;
  const power = 10 ** Math.floor(Math.log10(longest));
  const um = power * NICE.filter((n) => n * power <= longest).pop();
  element("scale-bar").style.width = `${um / umPerPx}px`;
  element("scale-text").textContent = um >= 1000 ? `${um / 1000} mm` : `${um} µm`;
}

// Tiles that failed while the server was away are asked for again once it is back.
let asked = 0;
function loadAgain() {
  const image = viewer.world.getItemAt(0);
  if (!image || state.slide?.deleted) return;
  asked = Date.now();
  image.reset();
  viewer.forceRedraw();
}
viewer.addHandler("tile-load-failed", async () => {
  if (state.slide?.deleted) return;
  await reach();
  if (Date.now() - asked > AGAIN_MS) loadAgain();
});
onReconnected(loadAgain);

// What is blurred because its pixels are on their way is said to be.
function showLoading() {
  const image = viewer.world.getItemAt(0);
  element("loading").hidden = !image || Boolean(state.slide?.deleted) || image.getFullyLoaded();
}
viewer.world.addHandler("add-item", ({ item }) => {
  item.addHandler("fully-loaded-change", showLoading);
  showLoading();
});
viewer.addHandler("animation", showLoading);
