"""`python -m benchmarks.speed [--out speed] [--rounds 3] [--tiles 4] [--sides 10000 40000 100000]`.

Scores generated and, where `MITOSIS_DATA` is, real slides as the service does, by turns with what reading alone and the
models alone take, and writes `speed.json` and `speed.html`. `--small` counts instead of timing, see `structure`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.decoding import Decoding, measure_decoding
from benchmarks.speed.measure import SlideRun, measure
from benchmarks.speed.page import write_page
from benchmarks.speed.slides import Case, Pixels, find_real_cases, make_generated_cases
from benchmarks.speed.structure import count_structure, find_lost
from benchmarks.speed.summary import summary, write_summary
from serving.core.geometry import Region
from serving.core.report_parts import CascadeMode
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.scoring.detector import Detector
from serving.scoring.loading import load_detector
from serving.scoring.onnx_detector import OnnxDetector
from serving.settings import default_models
from serving.synthetic.field import SyntheticTissue

MODES: tuple[CascadeMode, ...] = ("exact", "fast")
"""Of the cascade, that are counted."""
BLOCK_PX = 2048
"""Side of the tissue that is drawn; it repeats."""


def main(arguments: list[str]) -> int:
    """Measure or count; the exit code is 1 where structure was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed")
    parser.add_argument("--small", action="store_true", help="count reads, copies, batches and calls; nothing is timed")
    parser.add_argument("--out", type=Path, default=Path("speed"), help="folder for speed.json and speed.html")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiles", type=int, default=4, help="tiles of tissue a slide, rounded up to a square")
    parser.add_argument("--sides", type=int, nargs="+", default=[10_000, 40_000, 100_000])
    parser.add_argument("--models", type=Path, default=None, help="folder of the models; by default the released ones")
    stated = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        if stated.small:
            counts = [count_structure(Path(name), mode) for mode in MODES]
            complaints = [f"{counted.mode}: {lost}" for counted in counts for lost in find_lost(counted)]
            print("\n".join([*map(str, counts), *complaints]))
            return int(bool(complaints))
        block = SyntheticTissue(1, 30.0, 30.0).draw(Region(0, 0, BLOCK_PX, BLOCK_PX))
        cases = all_cases(Path(name), stated.sides, tiles=stated.tiles, block=block)
        detector = load_detector(stated.models or default_models())
        if not isinstance(detector, OnnxDetector):
            parser.error("the models are no cascade, whose steps are measured here")
        stated.out.mkdir(parents=True, exist_ok=True)
        for turns, decodings in rounds(cases, detector, count=stated.rounds):
            found = summary(turns, decodings, cases)
            print(write_summary(stated.out, found), write_page(stated.out, found), flush=True)
    return 0


def all_cases(folder: Path, sides: list[int], *, tiles: int, block: Pixels) -> list[Case]:
    """The generated slides and, where they are at hand, the real ones."""
    data = Path(os.environ.get("MITOSIS_DATA", Path(__file__).parents[2] / "../shared/data"))
    return make_generated_cases(folder, sides, tiles=tiles, block=block) + find_real_cases(data, tiles=tiles)


def rounds(
    cases: list[Case], detector: Detector, *, count: int
) -> Iterator[tuple[dict[str, list[SlideRun]], dict[str, list[Decoding]]]]:
    """After each round all turns so far, by slide; a turn before the first, which does not count, warms up."""
    decoders = Decoders(DecoderLimits())
    turns: dict[str, list[SlideRun]] = {case.name: [] for case in cases}
    decodings: dict[str, list[Decoding]] = {case.name: [] for case in cases}
    measure(cases[0], detector, decoders, turn=0)
    for turn in range(count):
        for case in cases:
            turns[case.name].append(measure(case, detector, decoders, turn=turn))
            decodings[case.name].append(measure_decoding(case, detector.screening_card.input))
            print(f"round {turn + 1} of {count}: {case.name}, {turns[case.name][-1].wall:.1f} s", flush=True)
        yield turns, decodings
    decoders.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
