"""`python -m training tiles`: whole slides become tiles that are worth labelling."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from serving.core.errors import MitoserveError
from serving.core.options import ScoringOptions
from serving.core.words import RESEARCH_USE
from serving.datasets.readers.registry import UNSTATED
from serving.roles.role import MODEL_ROLES
from serving.scoring.loading import load_screener
from serving.scoring.models import model_folder
from serving.settings import default_models
from serving.slides.opening import open_slide
from training.cli.options import A_PATH, WithLists
from training.labels.tiles.cutting import ChosenSlide, cut_tiles, write_table, write_unlabelled_store
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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the command's options ask for."""

    slides: tuple[Path, ...]
    out: Path
    rule: str
    model: Path | None
    top: int
    threshold: float
    rest: float
    complete: int
    seed: int
    min_tissue: float
    mpp: float | None
    licence: str
    provider: tuple[str, ...]


@click.command(cls=WithLists, epilog=RESEARCH_USE)
@click.argument("slides", type=A_PATH, nargs=-1, required=True, metavar="SLIDE...")
@click.option("--out", type=A_PATH, required=True, help="folder for tiles, table and store")
@click.option(
    "--rule",
    type=click.Choice(["expert", "crowd"]),
    required=True,
    help="expert: the highest scores of each slide; crowd: scores over the threshold and some of the rest",
)
@click.option("--model", type=A_PATH, help="version folder of a screening model; else the newest Reg-NS")
@click.option("--top", type=int, default=EXPERT_TOP, show_default=True, help="expert: tiles of each slide")
@click.option(
    "--threshold", type=float, default=CROWD_THRESHOLD, show_default=True, help="crowd: every tile that scores higher"
)
@click.option(
    "--rest", type=float, default=CROWD_REST, show_default=True, help="crowd: share of the others that is drawn"
)
@click.option("--complete", type=int, default=0, help="crowd: slides, drawn by seed, of which all are taken")
@click.option("--seed", type=int, default=0, help="of what is drawn")
@click.option("--min-tissue", type=float, default=MIN_TISSUE, show_default=True, help="least share of tissue in a tile")
@click.option("--mpp", type=float, help="um/px of the slides, in place of what they state")
@click.option("--licence", default=UNSTATED, show_default=True, help="of the slides")
@click.option("--provider", multiple=True, help="ONNX Runtime execution provider, in order of preference")
def command(**options: Any) -> None:
    """Cut the tiles of whole slides that are worth labelling.

    Cut 1,000 px tissue tiles from whole slides, rank them with a screening model, and keep those that the paper's rules choose.
    Writes PNG tiles, tiles.csv of all tiles, and store.json, unlabelled.
    """
    _rank_and_cut(_Wanted(**options))


def _rank_and_cut(args: _Wanted) -> None:
    """Rank, choose and cut by the command's arguments. A slide that fails does not stop the others; the exit is then 1.

    The table and the store are written anew after each slide, so that what is done stays if a later slide fails.

    Raises
    ------
    ValueError
        If an option makes no sense or the model does not load.
    """
    _check(args)
    try:
        folder = args.model or model_folder(default_models(), MODEL_ROLES.cascade()["screening"])
        screener = load_screener(folder, providers=args.provider or None)
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
        write_unlabelled_store(done, args.out, name=args.out.name, licence=args.licence, model=model)
        print("\n".join(_summary(chosen)))
    print(f"{args.out}: {sum(len(s.taken) for s in done)} tiles of {len(done)} slides. {RESEARCH_USE}")
    if failed:
        sys.exit(f"{failed} of {len(args.slides)} slides failed")


def _check(args: _Wanted) -> None:
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


def _one(path: Path, screener: Screener, args: _Wanted, *, complete: bool) -> ChosenSlide:
    options = ScoringOptions(mpp=args.mpp, min_tissue_fraction=args.min_tissue)
    with open_slide(path) as slide:
        with _progress(f"rank {path.name}") as step:
            ranked = rank_tiles(slide, screener, options, step)
        chosen = ChosenSlide(path.name, ranked, _reasons(ranked, path.name, args, complete=complete))
        with _progress(f"cut {path.name}") as step:
            cut_tiles(slide, chosen, args.out, step)
    return chosen


def _reasons(ranked: RankedSlide, name: str, args: _Wanted, *, complete: bool) -> list[str]:
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
