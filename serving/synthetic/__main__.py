"""`python -m serving.synthetic OUT.tif`: write a generated slide and its truth."""

from pathlib import Path

import click

from serving.core.words import format_count
from serving.synthetic.artefacts import KINDS, Kind
from serving.synthetic.slide import generate_slide, truth_path, write_geojson


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same slide.")
@click.option("--width", default=4096, show_default=True, type=click.IntRange(256), help="Px.")
@click.option("--height", default=4096, show_default=True, type=click.IntRange(256), help="Px.")
@click.option("--tissue", default=0.4, show_default=True, type=click.FloatRange(0, 1), help="Share of tissue.")
@click.option("--mitoses", default=40.0, show_default=True, type=click.FloatRange(0), help="Per mm2 of tissue.")
@click.option("--lookalikes", default=40.0, show_default=True, type=click.FloatRange(0), help="Per mm2 of tissue.")
@click.option("--artefact", multiple=True, type=click.Choice(KINDS), help="Lay one on the tissue; repeat for several.")
@click.option("--stain-turn", default=0.0, show_default=True, help="Degrees by which eosin is bluer than usual.")
@click.option("--geojson", is_flag=True, help="Write the figures as QuPath has them too, for a golden set.")
def main(
    out: Path,
    *,
    seed: int,
    width: int,
    height: int,
    tissue: float,
    mitoses: float,
    lookalikes: float,
    artefact: tuple[Kind, ...],
    stain_turn: float,
    geojson: bool,
) -> None:
    """Write a generated slide to OUT and its truth beside it."""
    truth = generate_slide(
        out,
        seed=seed,
        width=width,
        height=height,
        tissue_fraction=tissue,
        mitoses_per_mm2=mitoses,
        lookalikes_per_mm2=lookalikes,
        artefacts=artefact,
        stain_turn=stain_turn,
    )
    if geojson:
        write_geojson(truth, out.with_suffix(".geojson"))
    click.echo(
        f"{out}: {width} x {height} px, {format_count(len(truth.mitotic_figures), 'mitotic figure')}; truth in {truth_path(out)}"
    )


if __name__ == "__main__":
    main()
