"""`train`: a training by a recipe on one store or several."""

from pathlib import Path

import click

from training.cli.options import A_PATH, SHARE, WithLists, data_option, init_option, read_init


@click.command(cls=WithLists)
@click.argument("recipe", metavar="RECIPE")
@data_option("what to learn from")
@click.option(
    "--preset", type=click.Choice(["paper", "default"]), default="default", show_default=True,
    help="recipe of one of the paper's classes",
)  # fmt: skip
@click.option("--overrides", type=A_PATH, help="TOML file of changes to the recipe's values")
@click.option("--seed", type=click.IntRange(0), help="in place of the recipe's")
@click.option(
    "--start", type=A_PATH, help="model.pt of a run to go on from; what fixes the weights' shape is that run's"
)
@click.option("--trunk", type=A_PATH, help="model.pt of a run, of any recipe, whose trunk to take as far as it goes")
@click.option(
    "--validation", type=SHARE, default=0.15, show_default=True, help="share of the patients to validate on; 0 for none"
)
@click.option("--test", type=SHARE, default=0.0, help="share of the patients that are left alone")
@click.option("--test-patients", multiple=True, help="these are left alone, instead of a share")
@click.option("--out", type=A_PATH, required=True, help="folder for checkpoints, weights and logs")
@init_option("the recipe's own")
def command(
    *,
    recipe: str,
    data: tuple[Path, ...],
    preset: str,
    overrides: Path | None,
    seed: int | None,
    start: Path | None,
    trunk: Path | None,
    validation: float,
    test: float,
    test_patients: tuple[str, ...],
    out: Path,
    init: tuple[str, ...],
) -> None:
    """Train by RECIPE.

    That is one of the seven model classes of Ji et al. (BC, Reg, Reg-NS, Det, Det-NS, Det-WL, Det-NS-WL), one of the cascade's
    (verifier, screening and detector, each of them with -crops, and verifier-wide), triage, atypia, or a TOML file.

    A run that was stopped goes on from its checkpoint when the same command is given again.
    `torchrun --nproc-per-node N -m training train ...` trains on N GPUs or CPU processes.
    """
    from training.engine.distributed import join_processes  # noqa: PLC0415
    from training.recipes.registry import Start  # noqa: PLC0415
    from training.recipes.runs import RunRequest, train_run  # noqa: PLC0415

    initial, begun = read_init(init)
    request = RunRequest(
        recipe,
        data,
        preset,
        overrides=overrides,
        seed=seed,
        initial=initial,
        start=Start(run=start, reg=begun.reg, trunk=trunk),
        validation=validation,
        test=test,
        test_patients=test_patients,
    )
    with join_processes() as process:
        train_run(request, out, process)
