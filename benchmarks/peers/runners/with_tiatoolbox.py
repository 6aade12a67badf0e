"""TIAToolbox's PatchPredictor on a slide with a given mask, its scores as its zarr."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
from tiatoolbox.models.engine.patch_predictor import PatchPredictor
from tiatoolbox.models.models_abc import ModelABC
from torch import Tensor, inference_mode, nn

from benchmarks.peers.network import WindowScreener
from benchmarks.peers.runners.job import RunnerJob, WorkTimer, write_result

MASK_PX = 25
"""Level-0 px of a mask's element: all edges are multiples of it."""


class Screener(ModelABC):
    """Reg-NS as the engine calls models."""

    def __init__(self, net: WindowScreener) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """See `WindowScreener`."""
        scores: Tensor = self.net(images)
        return scores

    @staticmethod
    def infer_batch(model: nn.Module, batch_data: Tensor, *, device: str) -> np.ndarray:
        """As the toolbox's own classifiers do."""
        images = batch_data.to(device).permute(0, 3, 1, 2).float()
        with inference_mode():
            return np.asarray(model(images).cpu().numpy())


def main() -> None:
    """Score one slide. model : torch weights. settings : `batch`, `workers`."""
    job, work = RunnerJob.read(), WorkTimer()
    with work.timing():
        engine = PatchPredictor(
            Screener(WindowScreener.load(Path(job.model))),
            batch_size=job.settings["batch"],
            num_workers=job.settings["workers"],
            device="cpu",
            verbose=False,
        )
        found = engine.run(
            [Path(job.slide)],
            masks=[_mask(job)],
            patch_mode=False,
            ioconfig=_config(job),
            save_dir=Path(job.out) / "results",
            output_type="zarr",
            return_probabilities=True,
            wsireader_kwargs={"mpp": (job.mpp, job.mpp)},
        )
    stored = zarr.open(str(found[Path(job.slide)]), mode="r")
    corners, scores = np.asarray(stored["coordinates"])[:, :2], np.asarray(stored["probabilities"])[:, 0]
    told = [(int(x), int(y), float(score)) for (x, y), score in zip(corners, scores, strict=True)]
    write_result(job, work, told, ["tiatoolbox", "torch", "torchvision", "openslide-bin", "numpy"])


def _mask(job: RunnerJob) -> np.ndarray:
    """What all windows of the square touch and no other does: the toolbox keeps a window that touches the mask."""
    inner = slice((job.first + job.stride_px) // MASK_PX, (job.last - job.stride_px) // MASK_PX)
    mask = np.zeros((job.slide_px // MASK_PX,) * 2, np.uint8)
    mask[inner, inner] = 1
    return mask


def _config(job: RunnerJob) -> Any:
    resolution = [{"units": "mpp", "resolution": job.mpp}]
    return IOPatchPredictorConfig(
        input_resolutions=resolution,
        output_resolutions=resolution,
        patch_input_shape=(job.window_px, job.window_px),
        stride_shape=(job.stride_px, job.stride_px),
    )


if __name__ == "__main__":
    main()
