// The colours of scores: the light halves of scales that are even in lightness and that colour-blind eyes can read.
// The dark halves are blue and purple, as haematoxylin is: a map in them would look like nuclei.

const SCALES = {
  // Samples of inferno (van der Walt and Smith, CC0) from 5/8 up.
  inferno: [[227, 89, 51], [249, 140, 10], [249, 201, 50], [252, 255, 164]],
  // Samples of cividis (Nuñez et al. 2018) from 4/8 up.
  cividis: [[125, 124, 120], [155, 148, 118], [187, 174, 108], [221, 201, 91], [254, 232, 56]],
};

/** @typedef {keyof typeof SCALES} Scale */

/**
 * 256 colours of a scale, as [r, g, b].
 *
 * @param {Scale} name
 */
export function table(name) {
  const anchors = SCALES[name];
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (anchors.length - 1);
    const low = Math.min(Math.floor(at), anchors.length - 2);
    return anchors[low].map((value, channel) => Math.round(value + (anchors[low + 1][channel] - value) * (at - low)));
  });
}

/** How far a score covers the tissue, 0 to 1: what is next to nothing leaves it clear. */
export function cover(score) {
  return Math.min(Math.max((score - 0.05) / 0.25, 0), 1);
}

/** Draw the scale from 0 to 1, left to right, as clear and as strong as the map shows each score. */
export function drawLegend(canvas, name) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  table(name).forEach(([r, g, b], i) => {
    context.fillStyle = `rgb(${r} ${g} ${b} / ${cover(i / 255)})`;
    const left = Math.floor((i * canvas.width) / 256);
    context.fillRect(left, 0, Math.floor(((i + 1) * canvas.width) / 256) - left, canvas.height);
  });
}
