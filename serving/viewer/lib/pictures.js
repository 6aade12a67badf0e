// Small pictures of places, each fetched when it comes near the screen.

import { ask, here } from "./api.js";

const SHOWN_UM = 64;
const PICTURE_PX = 128;
const AHEAD_PX = 200;

export class Pictures {
  /**
   * @param {(canvas: HTMLCanvasElement) => any} placeOf Gives {slide, mpp, width, height, object} of what a canvas shows, level-0 px;
   *   null where it shows nothing.
   * @param {{ shownUm?: number, px?: number, root?: Element | null }} [options] Side of what is shown and of the canvas; what scrolls.
   */
  constructor(placeOf, { shownUm = SHOWN_UM, px = PICTURE_PX, root = null } = {}) {
    this.placeOf = placeOf;
    this.shownUm = shownUm;
    this.px = px;
    const near = (seen) => seen.filter((s) => s.isIntersecting).forEach((s) => this.load(s.target));
    this.observer = new IntersectionObserver(near, { root, rootMargin: `${AHEAD_PX}px` });
  }

  /** A canvas that shows its place once it is near the screen; what it shows is set on its dataset by then. */
  canvas() {
    const made = Object.assign(document.createElement("canvas"), { className: "picture", width: this.px, height: this.px });
    made.setAttribute("aria-hidden", "true");
    made.dataset.state = "loading";
    this.observer.observe(made);
    return made;
  }

  /** Fetch a picture once; white where the slide ends. */
  async load(canvas) {
    this.observer.unobserve(canvas);
    const place = this.placeOf(canvas);
    if (!place) {
      canvas.dataset.state = "none";
      return;
    }
    const { slide, mpp, width: slideWidth, height: slideHeight, object } = place;
    const side = Math.round(this.shownUm / mpp);
    const [x, y] = [Math.round(object.x + object.width / 2 - side / 2), Math.round(object.y + object.height / 2 - side / 2)];
    const [left, top] = [Math.max(x, 0), Math.max(y, 0)];
    const [right, bottom] = [Math.min(x + side, slideWidth), Math.min(y + side, slideHeight)];
    const scale = this.px / side;
    const [width, height] = [right - left, bottom - top].map((n) => Math.max(Math.round(n * scale), 1));
    const address = here(`/v1/slides/${slide}/iiif/${left},${top},${right - left},${bottom - top}/^${width},${height}/0/default.jpg?frame=${slideWidth},${slideHeight}`);
    try {
      const picture = await createImageBitmap(await (await ask(address)).blob());
      const context = canvas.getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(0, 0, this.px, this.px);
      context.drawImage(picture, (left - x) * scale, (top - y) * scale);
      picture.close(); // its pixels are outside of what the garbage collection weighs
      canvas.dataset.state = "shown";
    } catch {
      canvas.dataset.state = "failed";
      this.observer.observe(canvas); // tried again when it is next scrolled to
    }
  }
}
