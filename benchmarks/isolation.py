"""What decoding in other processes costs: `python -m benchmarks.isolation`.

Reads the same patches, and scores the same slide, from a slide that is open in this process and from an isolated one, by
turns, and prints medians of wall time and of processor time, decoders included: on a busy machine only the latter is
comparable. The quick detector makes reading as large a part of scoring as it ever is.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.processor import processor_s
from serving.core.geometry import Region
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import open_isolated
from serving.scoring.batch_sizes import READERS
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.settings import default_models
from serving.slides.opening import open_slide
from serving.slides.slide import Slide
from serving.synthetic.slide import generate_slide
from tests.fakes import DotDetector

ROUNDS = 9
SIDE = 4000
PATCH = 1125

Times = tuple[float, float]
"""Wall and processor seconds."""


def main() -> None:
    """Print all figures; `models` as argument adds scoring with the released models, which takes minutes."""
    decoders = Decoders(DecoderLimits())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        generate_slide(path, seed=3, width=SIDE, height=SIDE, tissue_fraction=0.9)
        with open_slide(path) as here, open_isolated(decoders, path, name="slide.tif", sha256=here.sha256) as there:
            megapixels = sum(r.area for r in _patches()) / 1e6
            plain, isolated = _interleave(_read_all, here, there, rounds=ROUNDS)
            _print(f"reading {megapixels:.0f} Mpx with {READERS} threads", plain, isolated)
            plain, isolated = _interleave(lambda slide: score_slide(slide, DotDetector()), here, there, rounds=ROUNDS)
            _print("scoring with a detector that takes no time to speak of", plain, isolated)
            if sys.argv[1:] == ["models"]:
                detector = load_detector(default_models())
                plain, isolated = _interleave(lambda slide: score_slide(slide, detector), here, there, rounds=3)
                _print("scoring with the released models", plain, isolated)
    decoders.close()


def _patches() -> list[Region]:
    return [Region(x, y, PATCH, PATCH) for y in range(0, SIDE - PATCH, 1000) for x in range(0, SIDE - PATCH, 1000)]


def _read_all(slide: Slide) -> None:
    with ThreadPoolExecutor(READERS) as pool:
        for _ in pool.map(lambda r: slide.read(r, r.width, r.height), _patches()):
            pass


def _interleave(
    work: Callable[[Slide], object], here: Slide, there: Slide, *, rounds: int
) -> tuple[list[Times], list[Times]]:
    found: tuple[list[Times], list[Times]] = ([], [])
    for turn in range(rounds + 1):
        for which, slide in enumerate((here, there)):
            started, used = time.perf_counter(), processor_s()
            work(slide)
            if turn:  # the first turn warms caches
                found[which].append((time.perf_counter() - started, processor_s() - used))
    return found


def _print(what: str, plain: list[Times], isolated: list[Times]) -> None:
    print(f"{what}, medians of {len(plain)}:")
    for name, column in (("wall", 0), ("processor", 1)):
        a, b = (statistics.median(times[column] for times in side) for side in (plain, isolated))
        print(f"  {name:9} {a:.3f} s in this process, {b:.3f} s isolated, {100 * (b / a - 1):+.1f} %", flush=True)


if __name__ == "__main__":
    main()
