"""TIAToolbox's NucleusDetector with KongNet, as its registry of models configures it, its detections as it writes them for QuPath.

Its AnnotationStore asks for a SQLite with extensions, which not every Python has.
"""

import json
from pathlib import Path

import torch
from tiatoolbox.models.architecture.kongnet import KongNet
from tiatoolbox.models.engine.io_config import IOSegmentorConfig
from tiatoolbox.models.engine.nucleus_detector import NucleusDetector
from torch import nn

from benchmarks.peers.runners.job import RunnerJob, WorkTimer, write_result

THRESHOLD, DISTANCE_PX, TILE = 0.99, 21, (2048, 2048)
"""As `KongNet_Det_MIDOG_1` of tiatoolbox/data/pretrained_model.yaml states them."""


def main() -> None:
    """Score one slide. model : checkpoint. settings : `batch`, `workers`, `channels_last`."""
    job, work = RunnerJob.read(), WorkTimer()
    with work.timing():
        network = load_network(Path(job.model), channels_last=job.settings["channels_last"])
        detector = NucleusDetector(
            network,
            batch_size=job.settings["batch"],
            num_workers=job.settings["workers"],
            device="cpu",
            verbose=False,
        )
        found = detector.run(
            [Path(job.slide)],
            patch_mode=False,
            ioconfig=_config(job),
            auto_get_mask=True,
            save_dir=Path(job.out) / "results",
            output_type="qupath",
        )
    paths = found[Path(job.slide)]
    text = Path(paths[0] if isinstance(paths, list) else paths).read_text()
    points = [
        (*one["geometry"]["coordinates"], one["properties"]["probability"]) for one in json.loads(text)["features"]
    ]
    write_result(job, work, [(round(x), round(y), float(p)) for x, y, p in points], ["tiatoolbox", "torch", "timm"])


def load_network(checkpoint: Path, *, channels_last: bool) -> KongNet:
    """KongNet of a checkpoint as the toolbox reads its own."""
    network = KongNet(
        num_heads=1,
        num_channels_per_head=[1],
        target_channels=[0],
        min_distance=DISTANCE_PX,
        threshold_abs=THRESHOLD,
        tile_shape=TILE,
        class_dict={0: "Mitotic_Figure"},
    )
    network.load_state_dict(torch.load(checkpoint, weights_only=True, map_location="cpu"))
    network.eval()
    if channels_last:
        nn.Module.to(network, memory_format=torch.channels_last)  # the toolbox's own `to` takes a device alone
    return network


def _config(job: RunnerJob) -> IOSegmentorConfig:
    resolution = [{"units": "mpp", "resolution": job.mpp}]
    return IOSegmentorConfig(
        input_resolutions=resolution,
        output_resolutions=resolution,
        patch_input_shape=(job.window_px, job.window_px),
        patch_output_shape=(job.window_px, job.window_px),
        stride_shape=(job.stride_px, job.stride_px),
        save_resolution={"units": "baseline", "resolution": 1.0},
    )


if __name__ == "__main__":
    main()
