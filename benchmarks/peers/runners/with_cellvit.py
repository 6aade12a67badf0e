"""CellViT-256 of the package `cellvit`, random weights: the network alone over windows of a slide, without its post-processing.

What it does with the maps, watershed and joining of nuclei across windows, would be meaningless with random weights.
"""

import numpy as np
import torch
from cellvit.models.cell_segmentation.cellvit_256 import CellViT256
from openslide import OpenSlide
from PIL import Image

from benchmarks.peers.runners.job import RunnerJob, WorkTimer, write_result

NUCLEI, TISSUES = 6, 19
"""Classes of PanNuke, which its published weights know."""


def main() -> None:
    """See the windows in `settings`: `corners` (x, y), level-0 px, `side` in level-0 px, `batch`, `channels_last`."""
    job, work = RunnerJob.read(), WorkTimer()
    corners, side = job.settings["corners"], job.settings["side"]
    means: list[float] = []
    with work.timing(), torch.inference_mode():
        torch.manual_seed(0)
        network = CellViT256(None, NUCLEI, TISSUES).eval()
        if job.settings["channels_last"]:
            network = network.to(memory_format=torch.channels_last)
        slide = OpenSlide(job.slide)
        for start in range(0, len(corners), job.settings["batch"]):
            windows = [
                np.asarray(
                    slide.read_region((x, y), 0, (side, side))
                    .convert("RGB")
                    .resize((job.window_px, job.window_px), Image.Resampling.BILINEAR)
                )
                for x, y in corners[start : start + job.settings["batch"]]
            ]
            pixels = torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2).float() / 127.5 - 1
            found = network(pixels)["nuclei_binary_map"].softmax(1)[:, 1]
            means += found.mean((1, 2)).tolist()
    scores = [(x, y, mean) for (x, y), mean in zip(corners, means, strict=True)]
    write_result(job, work, scores, ["cellvit", "torch", "openslide-bin"])


if __name__ == "__main__":
    main()
