"""Score a slide with one call."""

from collections.abc import Callable
from pathlib import Path

from serving.core.geometry import parse_roi
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.exports import write_all
from serving.scoring.detector import AnyDetector
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.settings import default_models
from serving.slides.opening import open_slide
from serving.slides.slide import Slide


def score(
    slide: Path | str | Slide,
    *,
    detector: AnyDetector | None = None,
    models: Path | None = None,
    mpp: float | tuple[float, float] | None = None,
    roi: str | None = None,
    threshold: float | None = None,
    out: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Find the mitotic figures of a slide and count them.

    Parameters
    ----------
    slide
        A file, the folder of a slide of several files, or an open slide. An open slide stays open.
    detector
        The models. By default the newest ones in `models` are loaded, which takes seconds; load them once with
        `serving.scoring.loading.load_detector` for many slides.
    models
        Folder of models, `<name>/<version>/`; by default those that are installed with Mitoserve.
    mpp
        Microns per pixel, of both axes or (x, y), in place of what the slide states.
    roi
        Region of interest: `x,y,width,height`, or the points of a polygon, level-0 px.
    threshold
        Probability from which a detection counts, 0 to 1, in place of the model card's.
    out
        Folder to write the usual exports to: report, GeoJSON, CSV, picture and score raster.
    on_progress
        Called with (tiles done, tiles in all) after every tile.

    Returns
    -------
    Report
        Counts, hotspots, detections (level-0 px) and tiles.

    Raises
    ------
    MitoserveError
        If the slide cannot be read, states no resolution, or a model is missing or fails.
    """
    options = ScoringOptions(mpp=mpp, roi=None if roi is None else parse_roi(roi), threshold=threshold)
    chosen = detector if detector is not None else load_detector(models or default_models())
    if isinstance(slide, Path | str):
        with open_slide(Path(slide)) as opened:
            analysis = score_slide(opened, chosen, options, on_progress=on_progress)
    else:
        analysis = score_slide(slide, chosen, options, on_progress=on_progress)
    if out is not None:
        write_all(analysis, out)
    return analysis.report
