"""Centred 128 px crops of mitotic figures: AMi-Br and the two AtNorm sets. Every crop is a positive."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CROP_PX = 128


@dataclass(frozen=True, slots=True)
class CropBank:
    """Crops whose centre is a mitotic figure, about 0.25 um/px.

    pixels : uint8, shape (N, 128, 128, 3)
    cases : str, shape (N,), the patient or case where known, else the data set's name
    """

    pixels: NDArray[np.uint8]
    cases: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.pixels)

    def of(self, chosen: Callable[[str], bool]) -> "CropBank":
        """The crops of the cases that are chosen."""
        kept = np.asarray([chosen(str(case)) for case in self.cases], np.bool_)
        return CropBank(self.pixels[kept], self.cases[kept])


def crops_to_learn(root: Path, held_out: float) -> CropBank:
    """All crops, or with a share `held_out` of the cases those of the other cases that are known.

    A crop whose case is not known may be of any slide, so it is kept out as soon as one case is.
    """
    bank = read_crops(root)
    return bank.of(lambda case: _is_known(case) and not _falls_in(case, held_out)) if held_out else bank


def crops_held_out(root: Path, held_out: float) -> CropBank:
    """The crops of the cases that `crops_to_learn` keeps out of training."""
    return read_crops(root).of(lambda case: _is_known(case) and _falls_in(case, held_out))


def _is_known(case: str) -> bool:
    return "/" in case


def _falls_in(case: str, share: float) -> bool:
    """The same for all crops of a case, whatever the order in which they are read."""
    return int.from_bytes(hashlib.sha256(case.encode()).digest()[:4]) < share * 2**32


def read_crops(root: Path) -> CropBank:
    """All crops without padding: padded ones would tell a net that they are crops."""
    case_of = _amibr_cases(root)
    pixels, cases = [], []
    for folder in ("amibr", "atnorm-br", "atnorm-md"):
        for path in sorted(p for p in (root / folder).rglob("*") if p.suffix in {".jpg", ".png"}):
            crop = np.asarray(Image.open(path).convert("RGB"))
            if crop.shape == (CROP_PX, CROP_PX, 3) and not padded(crop):
                pixels.append(crop)
                cases.append(case_of.get(path.name, folder) if folder == "amibr" else folder)
    return CropBank(np.stack(pixels), np.asarray(cases))


def _amibr_cases(root: Path) -> dict[str, str]:
    with (root / "amibr.csv").open(newline="") as handle:
        return {row["file"]: f"{row['dataset']}/{row['slide']}" for row in csv.DictReader(handle)}


def padded(crop: NDArray[np.uint8]) -> bool:
    """True when an edge row or column is all but black."""
    edges = (crop[0], crop[-1], crop[:, 0], crop[:, -1])
    return any(float(edge.mean()) < 8 for edge in edges)
