"""`python -m training tiles`: whole slides become tiles that are worth labelling."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from serving.scoring.analysis import Options
from serving.scoring.models import model_folder
from serving.scoring.onnx_detector import load_screener
from serving.settings import default_models
from serving.wsi.errors import MitoserveError
from serving.wsi.modelcard import RESEARCH_USE
from serving.wsi.slide import open_slide
from training.data.readers.registry import UNSTATED
from training.labels.tiles.cutting import ChosenSlide, cut_tiles, write_table, write_unlabelled
from training.labels.tiles.ranking import RankedSlide, Screener, rank_tiles
from training.labels.tiles.selection import (
    CROWD_REST,
    CROWD_THRESHOLD,
    EXPERT_TOP,
    TILES_PER_SLIDE,
    complete_slides,
    crowd_reasons,
    expert_reasons,
    slide_rng,
)

MIN_TISSUE = 0.5
"""The paper discards tiles that are mostly background."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to `argparse`'s subparsers."""
    parser = commands.add_parser(
        "tiles",
        help="cut the tiles of whole slides that are worth labelling",
        description="Cut 1,000 px tissue tiles from whole slides, rank them with a screening model, and keep those that "
        "the paper's rules choose. Writes PNG tiles, tiles.csv of all tiles, and store.json, unlabelled.",
        epilog=RESEARCH_USE,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument("--out", type=Path, required=True, help="folder for tiles, table and store")
    parser.add_argument(
        "--rule",
        choices=("expert", "crowd"),
        required=True,
        help="expert: the highest scores of each slide; crowd: scores over the threshold and some of the rest",
    )
    parser.add_argument("--model", type=Path, help="version folder of a screening model; else the newest Reg-NS")
    parser.add_argument("--top", type=int, default=EXPERT_TOP, help="expert: tiles of each slide")
    parser.add_argument("--threshold", type=float, default=CROWD_THRESHOLD, help="crowd: every tile that scores higher")
    parser.add_argument("--rest", type=float, default=CROWD_REST, help="crowd: share of the others that is drawn")
    parser.add_argument("--complete", type=int, default=0, help="crowd: slides, drawn by seed, of which all are taken")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--min-tissue", type=float, default=MIN_TISSUE, help="least share of tissue in a tile")
    parser.add_argument("--mpp", type=float, help="um/px of the slides, in place of what they state")
    parser.add_argument("--licence", default=UNSTATED, help="of the slides")
    parser.add_argument("--provider", action="append", help="ONNX Runtime execution provider, in order of preference")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    """Rank, choose and cut by the command's arguments. A slide that fails does not stop the others; the exit is then 1.

    The table and the store are written anew after each slide, so that what is done stays if a later slide fails.

    Raises
    ------
    ValueError
        If an option makes no sense or the model does not load.
    """
    _check(args)
    try:
        folder = args.model or model_folder(default_models(), "reg-ns")
        screener = load_screener(folder, providers=args.provider)
    except MitoserveError as error:
        raise ValueError(str(error)) from error
    complete = complete_slides([s.name for s in args.slides], count=args.complete, seed=args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    done: list[ChosenSlide] = []
    failed = 0
    for path in args.slides:
        try:
            chosen = _one(path, screener, args, complete=path.name in complete)
        except (MitoserveError, OSError) as error:
            failed += 1
            print(f"failed {path}: {error}", file=sys.stderr)
            continue
        done.append(chosen)
        write_table(done, args.out / "tiles.csv")
        model = f"{screener.card.name} {screener.card.version}, SHA-256 {screener.card.sha256()[:12]}"
        write_unlabelled(done, args.out, name=args.out.name, licence=args.licence, model=model)
        print("\n".join(_summary(chosen)))
    print(f"{args.out}: {sum(len(s.taken) for s in done)} tiles of {len(done)} slides. {RESEARCH_USE}")
    if failed:
        sys.exit(f"{failed} of {len(args.slides)} slides failed")


def _check(args: argparse.Namespace) -> None:
    for name in ("rest", "min_tissue"):
        if not 0 <= getattr(args, name) <= 1:
            raise ValueError(f"--{name.replace('_', '-')} is {getattr(args, name):g}; give a share between 0 and 1")
    if args.top < 1:
        raise ValueError(f"--top is {args.top}; give a number of tiles")
    if args.rule == "expert" and args.complete:
        raise ValueError("--complete belongs to the crowd rule")
    twice = [stem for stem, count in Counter(s.stem for s in args.slides).items() if count > 1]
    if twice:
        raise ValueError(f"two slides are called {twice[0]}: their tiles would share a folder; rename one")


def _one(path: Path, screener: Screener, args: argparse.Namespace, *, complete: bool) -> ChosenSlide:
    options = Options(mpp=args.mpp, min_tissue_fraction=args.min_tissue)
    with open_slide(path) as slide:
        with _progress(f"rank {path.name}") as step:
            ranked = rank_tiles(slide, screener, options, step)
        chosen = ChosenSlide(path.name, ranked, _reasons(ranked, path.name, args, complete=complete))
        with _progress(f"cut {path.name}") as step:
            cut_tiles(slide, chosen, args.out, step)
    return chosen


def _reasons(ranked: RankedSlide, name: str, args: argparse.Namespace, *, complete: bool) -> list[str]:
    if args.rule == "expert":
        return expert_reasons(ranked.scores, top=args.top)
    return crowd_reasons(
        ranked.scores, complete=complete, threshold=args.threshold, rest=args.rest, rng=slide_rng(args.seed, name)
    )


def _summary(chosen: ChosenSlide) -> list[str]:
    """What a slide gave, and whether it has as many tiles as the paper's slides."""
    found, (low, high) = len(chosen.ranked.tiles), TILES_PER_SLIDE
    counts = Counter(reason for _, reason in chosen.taken)
    lines = [
        f"{chosen.file}: {found} tissue tiles, {chosen.ranked.cut} more cut by the slide's border and left out; "
        f"took {len(chosen.taken)}" + "".join(f"; {count}: {reason}" for reason, count in sorted(counts.items()))
    ]
    if not low <= found <= high:
        lines.append(
            f"  note: the paper's slides have {low} to {high:,} tiles; check the slide's um/px and tissue if this is a "
            "whole resection"
        )
    return lines


@contextmanager
def _progress(task: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(task, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
