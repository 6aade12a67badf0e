// Small pictures of slides, fetched when they come near the screen and kept.

import { ask, here } from "../lib/api.js";

const NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="; // one clear pixel
const SIDE_PX = 104;
const MOST = 400;
const AGAIN_MS = 60000; // a slide without a picture is asked for one so long after at the soonest
/** @type {Map<string, Promise<string>>} */
const pictures = new Map();
const near = new IntersectionObserver((seen) => seen.filter((s) => s.isIntersecting).forEach((s) => load(/** @type {HTMLImageElement} */ (s.target))), { rootMargin: "200px" });

/**
 * A picture of a row's slide; clear where there is none.
 *
 * @returns {HTMLImageElement}
 */
export function thumbnail({ slide, deleted }) {
  const picture = Object.assign(document.createElement("img"), { alt: "", width: 52, height: 52, src: NO_PICTURE });
  if (!deleted) {
    picture.dataset.slide = slide;
    near.observe(picture);
  }
  return picture;
}

async function load(picture) {
  near.unobserve(picture);
  const { slide } = picture.dataset;
  if (!pictures.has(slide)) {
    pictures.set(slide, fetchPicture(slide)); // in its place from now on, so that a slide is asked once
    if (pictures.size > MOST) dropOldest();
  }
  picture.src = await pictures.get(slide);
}

/** The address of a slide's picture; rows do not wait for it. */
async function fetchPicture(slide) {
  try {
    return URL.createObjectURL(await (await ask(here(`/v1/slides/${slide}/thumbnail?max_side=${SIDE_PX}`), { priority: "low" })).blob());
  } catch {
    setTimeout(() => pictures.delete(slide), AGAIN_MS);
    return NO_PICTURE;
  }
}

/** Forget the picture that was fetched longest ago, so that a long list takes no more memory than a screen. */
async function dropOldest() {
  const [oldest, picture] = pictures.entries().next().value;
  pictures.delete(oldest);
  URL.revokeObjectURL(await picture);
}
