// A distance in words.

const MM = 1000; // µm

/**
 * The distance between two places in words.
 *
 * @param {{ x: number, y: number }} from px
 * @param {{ x: number, y: number }} to px
 * @param {number | null} [mpp] µm per px; without it the distance is in px, and that is said.
 */
export function distanceText(from, to, mpp) {
  const px = Math.hypot(to.x - from.x, to.y - from.y);
  if (!mpp) return `${px.toFixed(0)} px; resolution unknown`;
  const um = px * mpp;
  // Rounded first: 999.96 µm is a millimetre, not 1000.0 µm.
  return Number(um.toFixed(1)) >= MM ? `${(um / MM).toFixed(3)} mm` : `${um.toFixed(1)} µm`;
}
