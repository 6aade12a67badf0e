// What every viewer of OpenSeadragon's needs beside what it does itself.

/**
 * Open a source; gives its failure, or null once its first view is there. Nothing of it stays with the viewer.
 *
 * @param {any} viewer
 * @param {any} source
 * @returns {Promise<{ message: string } | null>}
 */
export function openSource(viewer, source) {
  return new Promise((resolve) => {
    const end = (failure) => {
      viewer.removeHandler("open", opened);
      viewer.removeHandler("open-failed", failed);
      resolve(failure);
    };
    const opened = () => end(null);
    const failed = ({ message }) => end({ message });
    viewer.addHandler("open", opened);
    viewer.addHandler("open-failed", failed);
    viewer.open(source);
  });
}

/**
 * Have tiles loaded again that are taken for loaded, and whose pixels were dropped.
 *
 * OpenSeadragon 6.1.1 marks a tile as loaded at the end of a promise, whatever became of its pixels meanwhile: they are dropped where the image is
 * reset or a picture does not decode, as of a page that is closed. `World.ensureTilesUpToDate` then reads of a record that is not there,
 * and throws at every frame.
 *
 * @param {any} viewer
 */
export function reloadLostTiles(viewer) {
  const { world } = viewer;
  const ensure = world.ensureTilesUpToDate.bind(world);
  world.ensureTilesUpToDate = (drawn) => {
    const whole = drawn.filter(hasPixels);
    ensure(whole);
    if (whole.length === drawn.length) return;
    requestAnimationFrame(() => {
      world.resetItems();
      viewer.forceRedraw();
    });
  };
}

function hasPixels(drawn) {
  const tile = drawn.tile ?? drawn;
  if (!tile.loaded || tile.getCache(tile.originalCacheKey)) return true;
  tile.loaded = false;
  return false;
}
