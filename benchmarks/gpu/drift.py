"""How far a provider's rounding moves results on real windows, against float32 throughout."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.core.modelinput import ModelInput
from serving.core.options import ScoringOptions
from serving.scoring.plan import make_plan
from serving.scoring.reading import read_mirrored
from serving.scoring.session import Session
from serving.scoring.tiling import TILE_PX
from serving.slides.opening import open_slide

COMPARED = ("scores", "probabilities")


def drift(exact: Mapping[str, NDArray[np.float32]], rounded: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
    """Mean and largest difference of scores or probabilities, and the spread (standard deviation) of the exact ones."""
    (name,) = (name for name in COMPARED if name in exact)
    apart = np.abs(exact[name].astype(np.float64) - rounded[name])
    spread = float(exact[name].std())
    return {
        "values": apart.size,
        "spread": spread,
        "mean": float(apart.mean()),
        "largest": float(apart.max()),
        "mean_of_spread": float(apart.mean()) / spread,
        "rms_of_spread": float(np.sqrt((apart**2).mean())) / spread,
        "largest_of_spread": float(apart.max()) / spread,
    }


def read_sample(folder: Path) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]:
    """The real windows that a released model brings, and what it gave for them in float32."""
    with np.load(folder / "parity.npz") as sample:
        found = {name: sample[name] for name in sample.files}
    return found.pop("input"), found


def outputs(session: Session, inputs: NDArray[np.uint8], *, at_once: int = 8) -> dict[str, NDArray[np.float32]]:
    """All outputs by name."""
    name, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    parts = [session.run(names, {name: inputs[start : start + at_once]}) for start in range(0, len(inputs), at_once)]
    return {output: np.concatenate([part[i] for part in parts]) for i, output in enumerate(names)}


def read_tiles(path: Path, model: ModelInput, *, count: int) -> NDArray[np.uint8]:
    """Tiles of a slide spread over its tissue, uint8, shape (N, side, side, 3), as Reg-NS sees those inside of tissue."""
    side = TILE_PX + model.stride_px
    with open_slide(path) as slide:
        plan = make_plan(slide, ScoringOptions(mpp=slide.mpp or model.mpp), model)
        width, height = plan.frame.size_to_work(slide.width, slide.height)
        whole = [
            tile.patch.region
            for tile in plan.tiles
            if tile.patch.region.x >= 0
            and tile.patch.region.y >= 0
            and tile.patch.region.x + side <= width
            and tile.patch.region.y + side <= height
        ]
        chosen = whole[:: max(len(whole) // count, 1)][:count]
        return np.stack([read_mirrored(slide, plan.frame, Region(r.x, r.y, side, side)) for r in chosen])
