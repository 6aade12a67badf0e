"""`judge-triage`: the triage net, judged on patients that it never saw."""

from pathlib import Path

import click

from training.cli.options import A_PATH, SHARE, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("runs", type=A_PATH, nargs=-1, required=True, metavar="RUN...")
@data_option("pictures in which every figure is labelled")
@click.option(
    "--keep",
    type=SHARE,
    default=0.99,
    show_default=True,
    help="share of the other folds' figures that a threshold keeps",
)
@click.option(
    "--found", type=A_PATH, help="JSON of find-figures: of the figures that the cascade finds; otherwise of all figures"
)
@click.option(
    "--out", type=A_PATH, required=True, help="JSON file for the judgement; its curve is drawn beside it (PNG)"
)
def command(*, runs: tuple[Path, ...], data: tuple[Path, ...], keep: float, found: Path | None, out: Path) -> None:
    """Judge runs of a triage recipe, each on the pictures of the patients that it never saw.

    RUN is a finished run of `train triage --test-patients ...`. The threshold of a fold comes from the others. Writes which share of
    the figures stays where Reg-NS looks, and which share of the sub-tiles that is, of all pictures and of each store.
    """
    from serving.datasets.documents import read_document  # noqa: PLC0415
    from serving.datasets.store import read_store  # noqa: PLC0415
    from training.evaluation.found_figures import FoundFigures  # noqa: PLC0415
    from training.evaluation.triage import judge_triage  # noqa: PLC0415
    from training.evaluation.triage_figure import draw_triage  # noqa: PLC0415

    known = None if found is None else read_document(found, FoundFigures)
    judgement = judge_triage(runs, [read_store(path) for path in data], wanted=keep, found=known)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(judgement.model_dump_json(indent=1) + "\n", "utf-8")
    draw_triage(judgement, out.with_suffix(".png"))
    for s in judgement.sources:
        print(
            f"{s.source}: {s.figures} figures in {s.mm2:.2f} mm2; kept {s.kept.words}; sub-tiles chosen {s.chosen.words}"
            + ("" if s.found_kept is None else f"; of {s.found} that the cascade finds kept {s.found_kept.words}")
        )
    print(f"threshold for a net that learnt from all: {judgement.threshold:.4f}. {out}. {judgement.research_use}")
