"""`mine`: nuclei that a verifier takes for figures, as a file that a verifier's recipe reads."""

import csv
from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("run", type=A_PATH)
@data_option("where to look; crops are passed over")
@click.option(
    "--nuclei", type=click.IntRange(1), default=400, show_default=True, help="darkest of each picture to look at"
)
@click.option("--hardest", type=click.IntRange(0), default=110, show_default=True, help="of those, taken first")
@click.option("--others", type=click.IntRange(0), default=40, show_default=True, help="drawn from the rest")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=A_PATH, required=True, help="CSV file for the places: picture,x,y,probability")
def command(*, run: Path, data: tuple[Path, ...], nuclei: int, hardest: int, others: int, seed: int, out: Path) -> None:
    """Write the nuclei that RUN, a run of a verifier recipe, takes for figures, and that are none by the labels.

    The file is what `points` of a verifier's recipe reads. A fold's file holds pictures of all folds; its `train` draws from
    those that it learns from alone. Of patients whom RUN saw the verifier may be too sure.
    """
    from training.data.combined_stores import read_stores  # noqa: PLC0415
    from training.evaluation.mining import MiningAmounts, mine_nuclei  # noqa: PLC0415
    from training.recipes.runs import load_run  # noqa: PLC0415
    from training.recipes.verifier import VerifierRecipe  # noqa: PLC0415

    recipe, model = load_run(run)
    if not isinstance(recipe, VerifierRecipe):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe; give a run of a verifier recipe")
    amounts = MiningAmounts(nuclei=nuclei, hardest=hardest, others=others)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "x", "y", "probability"])
        count = 0
        for point in mine_nuclei(recipe, model, read_stores(data), amounts, seed=seed):
            writer.writerow([point.picture, f"{point.x:.1f}", f"{point.y:.1f}", f"{point.probability:.4g}"])
            count += 1
    print(f"{out}: {count} places")
