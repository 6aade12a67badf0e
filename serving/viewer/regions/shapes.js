// Regions as the page holds them, and as GeoJSON says them to the server; the server checks them and counts in them.

/**
 * @typedef {[number, number]} Point Level-0 px.
 * @typedef {{ use: "within" | "exclude", name: string, polygons: Point[][][] }} Region Of each polygon a closed ring, then those of its holes.
 */

const NAMES = { within: "Tumor", exclude: "Left out" };
/** Of a point on an edge, what is right of it decides, and below it on a level edge: as the server has it. */
const JUST = [1e-4, 1e-7];

/**
 * A region that somebody drew.
 *
 * @param {"within" | "exclude"} use
 * @param {Point[]} ring Its corners, each once.
 * @returns {Region}
 */
export const regionOf = (use, ring) => ({ use, name: NAMES[use], polygons: [[[...ring, ring[0]]]] });

/** @type {Region} Where a model is to say what is counted in, and the slide shows none of it: nothing counts. */
export const NOTHING = { use: "within", name: "No such tissue", polygons: [] };

/**
 * Regions of what the server says.
 *
 * @param {any} view As /v1/analyses/ID/regions gives it.
 * @returns {Region[]}
 */
export function readRegions(view) {
  const regions = /** @type {const} */ (["within", "exclude"]).flatMap((use) =>
    (view[use]?.features ?? []).map(({ geometry, properties }) => ({ use, name: properties.classification.name, polygons: geometry.coordinates })),
  );
  return view.within?.features.length === 0 ? [NOTHING, ...regions] : regions;
}

/**
 * What the server is told.
 *
 * @param {Region[]} regions
 * @param {{ use: string, points: Point[], width: number }} [stroke] Of a brush, which the server makes an area of.
 */
export function writeRegions(regions, stroke) {
  const told = {};
  for (const use of ["within", "exclude"]) {
    const features = regions.filter((region) => region.use === use && region.polygons.length).map(({ name, polygons }) => feature(name, "MultiPolygon", polygons));
    if (stroke?.use === use) features.push(feature(NAMES[use], "LineString", stroke.points, { brushWidth: stroke.width }));
    told[use] = features.length ? { type: "FeatureCollection", unit: "level-0 px", features } : null;
  }
  return told;
}

function feature(name, type, coordinates, more = {}) {
  return { type: "Feature", geometry: { type, coordinates }, properties: { objectType: "annotation", classification: { name }, ...more } };
}

/**
 * Whether a region holds a place.
 *
 * @param {Region} region
 */
export function holds(region, x, y) {
  const [px, py] = [x + JUST[0], y + JUST[1]];
  return region.polygons.some((rings) => {
    let inside = false;
    for (const ring of rings) {
      for (let i = 1; i < ring.length; i++) {
        const [x1, y1] = ring[i - 1];
        const [x2, y2] = ring[i];
        if (y1 > py !== y2 > py && px < x1 + (x2 - x1) * ((py - y1) / (y2 - y1))) inside = !inside;
      }
    }
    return inside;
  });
}

/**
 * A question of places, whether figures count there; it looks at boxes first, since there may be 100,000 places.
 *
 * @param {Region[]} regions
 * @returns {(x: number, y: number) => boolean}
 */
export function countedIn(regions) {
  const boxed = regions.map((region) => ({ region, box: boundsOf(region) }));
  const near = ({ box }, x, y) => x >= box.x - 1 && y >= box.y - 1 && x <= box.x + box.width + 1 && y <= box.y + box.height + 1;
  const [within, exclude] = ["within", "exclude"].map((use) => boxed.filter(({ region }) => region.use === use));
  const held = (list, x, y) => list.some((one) => near(one, x, y) && holds(one.region, x, y));
  return (x, y) => (!within.length || held(within, x, y)) && !held(exclude, x, y);
}

/**
 * The smallest box around a region.
 *
 * @param {Region} region
 */
export function boundsOf({ polygons }) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of polygons.flatMap(([ring]) => ring)) {
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** Number of corners of a region. */
export const cornersOf = ({ polygons }) => polygons.flat().reduce((sum, ring) => sum + ring.length - 1, 0);

/**
 * The same region with another ring in place of one; `change` is given its corners, each once.
 *
 * @param {Region} region
 * @param {{ polygon: number, ring: number }} at
 * @param {(corners: Point[]) => Point[]} change
 * @returns {Region}
 */
export function withRing(region, at, change) {
  const polygons = region.polygons.map((rings, i) =>
    rings.map((ring, j) => {
      if (i !== at.polygon || j !== at.ring) return ring;
      const corners = change(ring.slice(0, -1));
      return [...corners, corners[0]];
    }),
  );
  return { ...region, polygons };
}
