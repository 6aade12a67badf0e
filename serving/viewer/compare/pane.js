// One side: a slide with the figures of one of its analyses.

import { all, authorization, here, json } from "../lib/api.js";
import { element, movesLess } from "../lib/dom.js";
import { openSource, reloadLostTiles } from "../lib/tiles.js";
import { countText, modelsText, optionsText, timeText } from "../worklist/words.js";

const OSD = window.OpenSeadragon;
const TILE = 512;
const BOX_ZOOM = 0.12; // screen px per level-0 px, from which boxes stand for figures in place of dots
const PAN = 0.15;
const X_UM = 10; // of a magnification of 1: µm per px of the screen
const COLOURS = { figure: "#00e0ff", dark: "rgb(20 24 34 / 75%)" };

export class Pane {
  /** @param {"left" | "right"} side */
  constructor(side) {
    this.side = side;
    /** @type {{ id: string, name: string, width: number, height: number, mpp: number | null } | null} */
    this.slide = null;
    this.analysis = null;
    /** @type {any[]} */
    this.figures = [];
    /** @type {(figure: any) => boolean} Whether the other side has it, too. */
    this.isShared = () => true;
    this.moved = () => {};
    this.taken = () => {};
    this.canvas = this.part("overlay");
    this.viewer = this.makeViewer();
    this.part("slide").addEventListener("keydown", (event) => this.press(event));
    for (const name of ["pointerdown", "wheel", "focusin"]) element(side).addEventListener(name, () => this.taken(), { passive: true });
  }

  part(name) {
    return element(`${this.side}-${name}`);
  }

  makeViewer() {
    const viewer = new OSD.Viewer({
      element: this.part("slide"), drawer: ["canvas"], showNavigationControl: false, loadTilesWithAjax: true, ajaxHeaders: {},
      animationTime: movesLess() ? 0 : 0.4, blendTime: movesLess() ? 0 : 0.1, maxZoomPixelRatio: 4, visibilityRatio: 0.1, minZoomImageRatio: 0.5,
      clickTimeThreshold: Infinity, imageLoaderLimit: 4, tileRetryMax: 3, tileRetryDelay: 1500, preserveImageSizeOnResize: true,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, gestureSettingsTouch: { clickToZoom: false }, gestureSettingsPen: { clickToZoom: false },
    });
    reloadLostTiles(viewer);
    const tracker = /** @type {any} */ (viewer).innerTracker;
    Object.assign(tracker, { keyHandler: null, keyDownHandler: null });
    for (const name of /** @type {const} */ (["update-viewport", "resize"])) {
      viewer.addHandler(name, () => {
        this.draw();
        this.moved();
      });
    }
    return viewer;
  }

  /** Show an analysis, or a slide without one. */
  async open({ analysis, slide }) {
    const found = analysis ? await json(here(`/v1/analyses/${encodeURIComponent(analysis)}`)) : null;
    const id = found?.slide ?? slide;
    const [report, offered] = await Promise.all([
      found ? json(here(`/v1/analyses/${found.id}/report?regions=scored`)) : null,
      all(here(`/v1/analyses?slide=${encodeURIComponent(id)}&state=succeeded&limit=200`), "analyses"),
    ]);
    const shown = report ? { ...report.slide, id, name: found.slide_name } : await json(here(`/v1/slides/${encodeURIComponent(id)}`));
    const same = this.slide?.id === id && this.slide.width === shown.width && this.slide.height === shown.height;
    this.slide = { id, name: shown.name, width: shown.width, height: shown.height, mpp: shown.mpp };
    this.analysis = found;
    this.figures = report?.detections ?? [];
    this.describe(offered);
    if (!same || !this.viewer.isOpen()) await this.showTiles();
    this.draw();
  }

  describe(offered) {
    const { analysis, slide } = this;
    Object.assign(this.part("name"), { textContent: slide.name, title: slide.name });
    this.part("slide").setAttribute("aria-label", `${this.side === "left" ? "Left" : "Right"} slide, ${slide.name}; arrow keys move, plus and minus zoom`);
    const options = offered.map((one) => new Option(`${modelsText(one) || "models unknown"} · ${optionsText(one)} · ${timeText(one.created_at)}`, one.id));
    if (!analysis) options.unshift(new Option("no analysis", ""));
    this.part("analysis").replaceChildren(...options);
    this.part("analysis").value = analysis?.id ?? "";
    const summary = analysis?.summary;
    this.part("said").textContent = summary
      ? `${countText(summary.mitotic_figures, "mitotic figure", "mitotic figures")} by the model${summary.per_mm2 === null ? "" : `, ${summary.per_mm2.toFixed(2)} per mm² of ${summary.tissue_area_mm2.toFixed(2)} mm²`} · ${summary.models.join(", ")}`
      : "Not scored: there are no figures to show.";
  }

  async showTiles() {
    const { id, width, height } = this.slide;
    this.viewer.setAjaxHeaders(authorization(), true);
    const failure = await openSource(this.viewer, {
      width, height, tileSize: TILE, tileOverlap: 0,
      getTileUrl: (level, column, row) => here(`/v1/slides/${id}/deepzoom_files/${level}/${column}_${row}.jpeg?frame=${width},${height}`),
    });
    if (failure) throw new Error(failure.message);
  }

  /** The middle of the screen, level-0 px, and its zoom: screen px per level-0 px. */
  view() {
    const bounds = this.viewer.viewport.getBoundsNoRotate(true);
    const width = this.viewer.viewport.getContainerSize().x;
    const scale = this.slide.width;
    return { x: (bounds.x + bounds.width / 2) * scale, y: (bounds.y + bounds.height / 2) * scale, zoom: width / (bounds.width * scale) };
  }

  /** Go to a view at once. */
  show({ x, y, zoom }) {
    const size = this.viewer.viewport.getContainerSize();
    const [width, height] = [size.x / zoom / this.slide.width, size.y / zoom / this.slide.width];
    this.viewer.viewport.fitBounds(new OSD.Rect(x / this.slide.width - width / 2, y / this.slide.width - height / 2, width, height), true);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.viewer.isOpen()) return;
    const { viewport } = this.viewer;
    const bounds = viewport.getBounds();
    const pan = (x, y) => viewport.panBy(new OSD.Point(x * bounds.width * PAN, y * bounds.height * PAN));
    const actions = {
      ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0), ArrowUp: () => pan(0, -1), ArrowDown: () => pan(0, 1),
      "+": () => viewport.zoomBy(1.5), "=": () => viewport.zoomBy(1.5), "-": () => viewport.zoomBy(1 / 1.5), 0: () => viewport.goHome(),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    this.taken();
    actions[event.key]();
    viewport.applyConstraints();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.slide || !this.viewer.isOpen()) return;
    const { x, y, zoom } = this.view();
    const { mpp } = this.slide;
    this.part("scale").textContent = mpp ? `${(X_UM / (mpp / zoom)).toPrecision(2)}x` : "resolution unknown";
    for (const figure of this.figures) {
      const [left, top] = [(figure.x - x) * zoom + width / 2, (figure.y - y) * zoom + height / 2];
      const [across, down] = [figure.width * zoom, figure.height * zoom];
      if (left > width || top > height || left + across < 0 || top + down < 0) continue;
      if (zoom >= BOX_ZOOM) this.drawBox(context, left - 5, top - 5, across + 10, down + 10, this.isShared(figure));
      else this.drawDot(context, left + across / 2, top + down / 2, this.isShared(figure));
    }
  }

  drawBox(context, x, y, width, height, shared) {
    for (const [line, style] of /** @type {[number, string][]} */ ([[4, COLOURS.dark], [2, COLOURS.figure]])) {
      Object.assign(context, { lineWidth: line, strokeStyle: style });
      context.strokeRect(x, y, width, height);
      if (!shared) context.strokeRect(x - 6, y - 6, width + 12, height + 12);
    }
  }

  drawDot(context, x, y, shared) {
    Object.assign(context, { lineWidth: 2, strokeStyle: COLOURS.figure, fillStyle: "rgb(29 36 51 / 82%)" });
    for (const radius of shared ? [5] : [5, 9]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      if (radius === 5) context.fill();
      context.stroke();
    }
  }
}
