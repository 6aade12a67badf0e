"""Score pixels of a format that Mitoserve does not read: `python examples/own_reader.py field.npy 0.25`.

A slide is anything with the members of `mitoserve.Slide`. A picture that fits in memory only has to become an array; a
larger one reads its tiles in `read`.
"""

import sys
from pathlib import Path

import numpy as np

import mitoserve
from serving.slides.arrayslide import ArraySlide


def open_npy(path: Path, mpp: float) -> mitoserve.Slide:
    """The slide in a NumPy file.

    Parameters
    ----------
    path
        An array of RGB, uint8, shape (height, width, 3).
    mpp
        Microns per pixel.
    """
    return ArraySlide(np.load(path), mpp=mpp, name=path.name, vendor="numpy")


def main(path: Path, mpp: float, models: Path | None = None) -> mitoserve.Report:
    """Score the slide and print its count."""
    with open_npy(path, mpp) as slide:
        report = mitoserve.score(slide, models=models)
    print(f"{report.slide.name}: {report.counts.mitotic_figures} mitotic figures")
    return report


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
