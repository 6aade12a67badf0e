"""`propose-nuclei`: dark nuclei as candidates, to judge a verifier without Reg-NS and Det."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("run", type=A_PATH)
@data_option("what the fold judges")
@click.option("--patient", multiple=True, required=True, help="to judge; repeatable, e.g. mitos/03")
@click.option(
    "--per-mm2",
    type=click.FloatRange(min=0, min_open=True),
    default=3000,
    show_default=True,
    help="darkest nuclei to look at, per mm2",
)
@click.option(
    "--lowest",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="probability by RUN from which a nucleus is a candidate",
)
@click.option("--fold", help="name of the fold; by default the patients")
@click.option("--out", type=A_PATH, required=True, help="JSON file for the candidates")
def command(
    *,
    run: Path,
    data: tuple[Path, ...],
    patient: tuple[str, ...],
    per_mm2: float,
    lowest: float,
    fold: str | None,
    out: Path,
) -> None:
    """Write the darkest nuclei of patients that RUN, a run of a verifier recipe, does not rule out.

    The file is what `detect-fold --candidates` reads: another verifier is asked about these places, and `cross-validate` judges it.
    A figure that is no candidate counts as missed. Refuses patients that RUN saw.
    """
    from serving.datasets.store import read_store  # noqa: PLC0415
    from training.evaluation.detect_fold import patients_seen  # noqa: PLC0415
    from training.evaluation.nuclei_fold import propose_nuclei  # noqa: PLC0415
    from training.recipes.runs import load_run  # noqa: PLC0415
    from training.recipes.verifier import VerifierRecipe  # noqa: PLC0415

    recipe, model = load_run(run)
    if not isinstance(recipe, VerifierRecipe):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe; give a run of a verifier recipe")
    found = propose_nuclei(
        recipe,
        model,
        [read_store(path) for path in data],
        patient,
        per_mm2=per_mm2,
        lowest=lowest,
        fold=fold or "+".join(sorted(patient)),
        seen=patients_seen(run),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(found.model_dump_json() + "\n", "utf-8")
    print(f"{out}: {len(found.pictures)} pictures. {found.research_use}")
