"""LazySlide's tile_prediction on a slide whose tissue is given, its scores as its store."""

from pathlib import Path
from typing import Any, Self

import lazyslide as zs
import numpy as np
import torch
from shapely import box
from torch import Tensor
from wsidata import open_wsi
from wsidata.io import add_tissues

from benchmarks.peers.network import WindowScreener
from benchmarks.peers.runners.job import RunnerJob, WorkTimer, write_result


class Screener:
    """Reg-NS as a tile prediction model; see `lazyslide_models.TilePredictionModelProtocol`."""

    name = "reg-ns"
    columns = ("score",)

    def __init__(self, model: WindowScreener) -> None:
        self.model: Any = model

    def get_transform(self) -> Any:
        """Pixels as they are; the network scales them."""
        return lambda image: torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)

    def to(self, device: str) -> Self:
        """Move the network."""
        self.model.to(device)
        return self

    def predict(self, image: Tensor) -> dict[str, Any]:
        """Scores of a batch of uint8 tiles."""
        return {"score": self.model(image.float()).squeeze(1).numpy()}


def main() -> None:
    """Score one slide. model : torch weights. settings : `batch`, `workers`."""
    job, work = RunnerJob.read(), WorkTimer()
    with work.timing():
        model = Screener(WindowScreener.load(Path(job.model)))
        wsi = open_wsi(job.slide, store=str(Path(job.out) / "slide.zarr"))
        add_tissues(wsi, "tissues", [box(job.first, job.first, job.last, job.last)])
        zs.pp.tile_tissues(wsi, job.window_px, stride_px=job.stride_px, mpp=job.mpp, tissue_key="tissues")
        zs.tl.tile_prediction(
            wsi,
            model,
            batch_size=job.settings["batch"],
            num_workers=job.settings["workers"],
            device="cpu",
            pbar=False,
        )
        wsi.write()
    tiles = wsi.shapes["tiles"]
    corners = tiles.bounds[["minx", "miny"]].to_numpy()
    told = [(int(x), int(y), float(score)) for (x, y), score in zip(corners, tiles["score"], strict=True)]
    write_result(job, work, told, ["lazyslide", "wsidata", "torch", "torchvision", "openslide-bin", "numpy"])


if __name__ == "__main__":
    main()
