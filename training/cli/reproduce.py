"""`reproduce`: the study's whole grid, its tables, figures and verdicts."""

from pathlib import Path

import click

from serving.core.words import RESEARCH_USE
from training.cli.options import A_PATH, WithLists, init_option, read_init


@click.command(cls=WithLists)
@click.option(
    "--scale",
    type=click.Choice(["tiny", "small", "paper"]),
    required=True,
    help="tiny: generated tissue, minutes; small: real crops and a simulated crowd; paper: your store, GPUs",
)
@click.option("--out", type=A_PATH, required=True, help="folder for data, trainings and the report")
@click.option(
    "--sizes",
    type=A_PATH,
    help='TOML file with `events`, six rising numbers or "all", and `negatives`, five rising numbers; otherwise the scale\'s',
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="how many times each training is run; intervals then draw a seed for each",
)
@click.option("--workers", type=int, default=1, help="trainings at once; a cluster runs as many as fit")
@click.option(
    "--address",
    help="Ray cluster whose machines share --out, or `local` for one on this machine: trainings are its tasks",
)
@click.option("--seed", type=int, default=0, help="of the split by patient")
@init_option("the scale's own")
def command(
    *,
    scale: str,
    out: Path,
    sizes: Path | None,
    seeds: int,
    workers: int,
    address: str | None,
    seed: int,
    init: tuple[str, ...],
) -> None:
    """Train the grid of Ji et al. and write Tables 2 to 9, Figures 2 and 3 and a verdict on each trend.

    A run that was stopped, by whatever, goes on where it was when the same command is given again.
    """
    from training.paper.cells import TrainingWorkers  # noqa: PLC0415
    from training.paper.grid import read_sizes  # noqa: PLC0415
    from training.paper.reproduce import reproduce  # noqa: PLC0415

    initial, start = read_init(init)
    if start.reg is not None:
        raise ValueError("--init reg: the grid takes its own Reg runs; give imagenet FILE, torchvision or none")
    found = reproduce(
        scale,
        out,
        initial=initial,
        places=TrainingWorkers(workers, address),
        seed=seed,
        seeds=seeds,
        sizes=None if sizes is None else read_sizes(sizes),
    )
    for verdict in found:
        print(f"{verdict.verdict:14} {verdict.trend}: {verdict.difference:+.3f} ({verdict.measure})")
    print(RESEARCH_USE)
