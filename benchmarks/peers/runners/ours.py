"""Mitoserve's own pipeline up to its screening: tissue, reading, Reg-NS, the mitosis map as a file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.runners.job import RunnerJob, WorkTimer, write_result
from serving.core.detections import Detections
from serving.core.modelcard import ModelCard, load_card
from serving.core.options import ScoringOptions
from serving.exports import EXPORTS
from serving.scoring.analysis import MitosisMap
from serving.scoring.loading import load_screener
from serving.scoring.onnx_detector import OnnxScreener
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide

OUT_OF_REACH = 65.0
"""A score is the sum of 64 shares, so with this threshold Det and the verifier are never asked."""
_MIN_TISSUE = 0.5
"""The tissue of the square reaches an eighth into the tiles around those that hold it."""


@dataclass(frozen=True, slots=True)
class ScreeningOnly:
    """A cascade that ends with Reg-NS; see `Detector`."""

    screener: OnnxScreener
    detection_card: ModelCard
    verification_card: None = None

    @property
    def screening_card(self) -> ModelCard:
        """See `Detector`."""
        card = self.screener.card
        if card.screening_threshold is None:
            raise ValueError(f"{card.name} {card.version} is no screening model")
        unreachable = card.screening_threshold.model_copy(update={"score": OUT_OF_REACH})
        return card.model_copy(update={"screening_threshold": unreachable})

    @property
    def provider(self) -> str:
        """See `Detector`."""
        return self.screener.provider

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector`."""
        return self.screener.screen(tiles)

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """See `Detector`."""
        raise AssertionError(f"{len(sub_tiles)} sub-tiles passed a threshold that none can reach")

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector`."""
        raise AssertionError(f"{len(windows)} candidates where nothing was detected")


def main() -> None:
    """Score one slide. settings : `provider`, and `detection`, the version folder of a Det whose card is stated."""
    job, work = RunnerJob.read(), WorkTimer()
    detection_card = load_card(Path(job.settings["detection"]))
    with work.timing():
        detector = ScreeningOnly(load_screener(Path(job.model), providers=[job.settings["provider"]]), detection_card)
        with open_slide(Path(job.slide)) as slide:
            analysis = score_slide(slide, detector, ScoringOptions(min_tissue_fraction=_MIN_TISSUE))
        export = EXPORTS["tiff"]
        (Path(job.out) / export.file_name).write_bytes(export.render(analysis))
    packages = ["numpy", "onnxruntime-gpu", "openslide-bin", "simplejpeg"]
    if job.settings["provider"].startswith("OpenVINO"):
        packages.append("openvino")
    write_result(job, work, _scores(analysis.mitosis_map), packages)


def _scores(lattice: MitosisMap) -> list[tuple[int, int, float]]:
    rows, columns = np.nonzero(np.isfinite(lattice.scores))
    x, y = (np.rint(start + at * lattice.step).astype(int) for start, at in ((lattice.x, columns), (lattice.y, rows)))
    return list(zip(x.tolist(), y.tolist(), lattice.scores[rows, columns].tolist(), strict=True))


if __name__ == "__main__":
    main()
