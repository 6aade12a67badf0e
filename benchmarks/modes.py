"""`python -m benchmarks.modes [SLIDE...] [--mpp 0.25] [--provider CPU-int8] [--rounds 3] [--out modes.json]`.

Scores slides exactly and fast, by turns, with the released models, and prints medians of wall and processor time, what the fast mode
saved, at how many sub-tiles Reg-NS looked, when the first hotspot was known, and the figures of both. The first turn of each provider
warms up and does not count.

`--generated 10000:5 --generated 40000:30 --tissue SLIDE` scores squares of repeated tissue too, cut from the middle of SLIDE, on so many px
a side, of which so many per cent are tissue. `--mode fast` leaves the exact turns out where they would take hours.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.speed.slides import write_slide
from serving.core.geometry import Region, WorkFrame
from serving.core.options import ScoringOptions
from serving.core.report_parts import CascadeMode, Timing
from serving.core.words import RESEARCH_USE
from serving.scoring.batch_sizes import READERS, choose_batch_sizes
from serving.scoring.detector import AnyDetector
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.scoring.preliminary import Preliminary
from serving.scoring.tiling import TILE_PX
from serving.settings import default_models
from serving.slides.opening import open_slide
from serving.slides.resample import Pixels

MODELS = ("triage", "Reg-NS", "Det", "verifier", "atypia")
MODES: tuple[CascadeMode, CascadeMode] = ("exact", "fast")


@dataclass(frozen=True, slots=True)
class Turn:
    """One analysis.

    wall, processor : seconds, without loading the models. screened : sub-tiles at which Reg-NS looked
    models, read : seconds that models and readers worked; readers are threads, so that both overlap. Of tiles that are computed at once, a
        thread's share
    parts : seconds by the wall of each part, see `split_time`
    first_hotspot : seconds until a preliminary hotspot was known; None where none was before the end
    """

    slide: str
    provider: str
    mode: str
    wall: float
    processor: float
    models: float
    read: float
    parts: dict[str, float]
    first_hotspot: float | None
    screened: int
    sub_tiles: int
    figures: int
    tissue_mm2: float


def run_turn(slide: Path, mpp: float | None, detector: AnyDetector, mode: CascadeMode) -> Turn:
    """Score a slide once."""
    known: list[float] = []

    def note(preliminary: Preliminary) -> None:
        if preliminary.hotspot is not None and preliminary.tiles_done < preliminary.tiles_total:
            known.append(time.perf_counter())

    def step(done: int, _: int) -> None:
        if not done:
            planned.append(time.perf_counter())

    planned: list[float] = []
    began, processor = time.perf_counter(), time.process_time()
    with open_slide(slide) as opened:
        options = ScoringOptions(mpp=mpp, cascade=mode)
        report = score_slide(opened, detector, options, on_progress=step, on_preliminary=note).report
    wall, spent = time.perf_counter() - began, time.process_time() - processor
    timing, tissue = report.timing, report.tissue
    at_once = choose_batch_sizes(detector.provider).light_tiles if mode == "fast" else 1
    parts = split_time(timing, planned[0] - began, wall, at_once)
    return Turn(
        slide.name,
        detector.provider,
        mode,
        wall,
        spent,
        sum(parts[name] for name in MODELS),
        timing.read_s,
        parts,
        known[0] - began if known else None,
        tissue.sub_tiles_screened or 0,
        tissue.sub_tiles or 0,
        report.counts.mitotic_figures,
        tissue.area_mm2,
    )


def split_time(timing: Timing, plan: float, wall: float, at_once: int) -> dict[str, float]:
    """Where the time went: reading is what models waited for it, and what is left is the rest.

    plan, wall : seconds. at_once : tiles that were computed at once, over whose threads the stages are summed
    """
    parts = {
        "plan": plan,
        "waiting for pixels": timing.wait_for_read_s,
        "triage": (timing.triage_s or 0.0) / at_once,
        "Reg-NS": timing.screen_s / at_once,
        "Det": (timing.detect_s - (timing.verify_s or 0.0)) / at_once,
        "verifier": timing.verify_s or 0.0,
        "atypia": timing.atypia_s or 0.0,
        "quality": timing.quality_s or 0.0,
    }
    return {**parts, "rest": wall - sum(parts.values())}


def describe(turns: list[Turn]) -> str:
    """Medians of one slide and provider, and what the fast mode saved."""
    by = {mode: [t for t in turns if t.mode == mode] for mode in MODES}
    if not all(by.values()):
        (one, *_), wall = turns, median(t.wall for t in turns)
        return (
            f"{one.slide}, {one.provider}: {one.tissue_mm2:.2f} mm2; {one.mode} alone {wall:.1f} s, {wall / one.tissue_mm2:.2f} a mm2; "
            f"Reg-NS at {one.screened} of {one.sub_tiles} sub-tiles; {describe_shares(turns)}"
        )
    exact, fast = (
        {name: median(getattr(t, name) for t in by[m]) for name in ("wall", "processor", "models")} for m in MODES
    )
    one, other = by["exact"][0], by["fast"][0]
    return (
        f"{one.slide}, {one.provider}: {one.tissue_mm2:.2f} mm2; exact {exact['wall']:.1f} s ({exact['processor']:.1f} processor s), "
        f"{one.figures} figures; fast {fast['wall']:.1f} s ({fast['processor']:.1f}), {other.figures} figures, Reg-NS at "
        f"{other.screened} of {other.sub_tiles} sub-tiles; exact over fast {exact['wall'] / fast['wall']:.2f} by wall, "
        f"{exact['processor'] / fast['processor']:.2f} by processor, {exact['models'] / fast['models']:.2f} of the models' time; "
        + "; ".join(f"{mode}: {describe_shares(by[mode])}" for mode in MODES)
    )


def describe_shares(turns: list[Turn]) -> str:
    """Of the whole time, when the first hotspot was known; and the whole time over that of the models, or of readers where it is larger."""
    shares = [t.first_hotspot / t.wall for t in turns if t.first_hotspot is not None]
    first = f"first hotspot after {median(shares):.2f} of the time" if shares else "no hotspot before the end"
    parts = {name: median(t.parts[name] / t.wall for t in turns) for name in turns[0].parts}
    spent = ", ".join(f"{name} {share:.2f}" for name, share in parts.items())
    over = median(t.wall / max(t.models, t.read / READERS) for t in turns)
    return f"{first}, {over:.2f} times the larger of models and reading; {spent}"


def make_slide(folder: Path, stated: str, block: Pixels) -> Path:
    """A slide of glass with a square of tissue. stated : SIDE:PERCENT, such as 10000:30. block : tissue that is repeated."""
    side, share = (int(part) for part in stated.split(":"))
    path = folder / f"generated-{side}-{share}.tif"
    write_slide(path, side=side, stored_px=256, tiles=max(round((side // TILE_PX) ** 2 * share / 100), 1), block=block)
    return path


def cut_block(path: Path, mpp: float | None) -> Pixels:
    """Up to 4 x 4 tiles of the middle of a slide, at 0.25 um/px."""
    with open_slide(path) as slide:
        frame = WorkFrame.from_mpp(mpp or slide.mpp or 0.25, 0.25)
        width, height = frame.size_to_work(slide.width, slide.height)
        across, down = (min(side // TILE_PX, 4) * TILE_PX for side in (width, height))
        middle = Region((width - across) // 2, (height - down) // 2, across, down)
        return np.asarray(slide.read(frame.region_to_level0(middle), across, down))


def main(arguments: list[str]) -> int:
    """Measure and print; with --out, keep every turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.modes")
    parser.add_argument("slides", type=Path, nargs="*", metavar="SLIDE")
    parser.add_argument(
        "--generated", action="append", default=[], metavar="SIDE:PERCENT", help="repeatable; needs --tissue"
    )
    parser.add_argument("--tissue", type=Path, metavar="SLIDE", help="of which generated slides are made")
    parser.add_argument("--mode", choices=MODES, action="append", help="repeatable; by default both, by turns")
    parser.add_argument("--mpp", type=float, help="of slides that state none")
    parser.add_argument("--provider", action="append", help="repeatable; by default CPUExecutionProvider")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", type=Path, default=default_models())
    parser.add_argument("--out", type=Path, help="JSON of all turns")
    stated = parser.parse_args(arguments)
    if bool(stated.generated) != (stated.tissue is not None) or not (stated.slides or stated.generated):
        parser.error("give slides, or --generated SIDE:PERCENT with --tissue SLIDE")
    with tempfile.TemporaryDirectory() as folder:
        block = cut_block(stated.tissue, stated.mpp) if stated.tissue else None
        made = [] if block is None else [make_slide(Path(folder), one, block) for one in stated.generated]
        turns = run_all([*stated.slides, *made], stated)
    if stated.out is not None:
        stated.out.write_text(json.dumps([asdict(turn) for turn in turns], indent=1))
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.0f}. {RESEARCH_USE}")
    return 0


def run_all(slides: list[Path], stated: argparse.Namespace) -> list[Turn]:
    """Each slide by each provider, the modes by turns; each line is printed as it comes."""
    turns: list[Turn] = []
    modes = stated.mode or list(MODES)
    for provider in stated.provider or ["CPUExecutionProvider"]:
        detector = load_detector(stated.models, providers=[provider])
        for slide in slides:
            with open_slide(slide) as opened:
                mpp = stated.mpp if opened.mpp is None else None
            if slide == slides[0]:
                run_turn(slide, mpp, detector, "fast")
            found = [run_turn(slide, mpp, detector, mode) for _ in range(stated.rounds) for mode in modes]
            turns += found
            print(describe(found), flush=True)
    return turns


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
