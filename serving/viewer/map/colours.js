// The colours of scores: scales that are even in lightness and that colour-blind eyes can read.
// Nine samples each of viridis, inferno (van der Walt and Smith, CC0) and cividis (Nuñez et al. 2018).

export const SCALES = {
  viridis: [[68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 144, 140], [39, 173, 129], [93, 201, 99], [170, 220, 50], [253, 231, 37]],
  cividis: [[0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 112], [125, 124, 120], [155, 148, 118], [187, 174, 108], [221, 201, 91], [254, 232, 56]],
  inferno: [[0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51], [249, 140, 10], [249, 201, 50], [252, 255, 164]],
};

/** 256 colours of a scale, as [r, g, b]. */
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

/** Draw the scale from 0 to 1, left to right. */
export function drawLegend(canvas, name) {
  const context = canvas.getContext("2d");
  table(name).forEach(([r, g, b], i) => {
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect((i * canvas.width) / 256, 0, canvas.width / 256 + 1, canvas.height);
  });
}
