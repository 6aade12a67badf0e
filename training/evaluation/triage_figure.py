"""The judgement of a triage net in one picture: figures that stay, and sub-tiles that are looked at, by threshold."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from training.evaluation.drawing import BLUE, GREEN, GREY, ORANGE, STYLE
from training.evaluation.triage import TriageJudgement


def draw_triage(judgement: TriageJudgement, path: Path) -> None:
    """Write the picture as PNG."""
    probabilities = [point.probability for point in judgement.curve]
    found = [(p.probability, p.chosen, p.found_kept) for p in judgement.curve if p.found_kept is not None]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.8), layout="constrained")
        by_threshold, trade = figure.subplots(1, 2)
        by_threshold.plot(probabilities, [p.kept for p in judgement.curve], color=BLUE, label="figures kept")
        by_threshold.plot(
            probabilities,
            [p.chosen for p in judgement.curve],
            color=ORANGE,
            linestyle="--",
            label="sub-tiles looked at",
        )
        if found:
            by_threshold.plot([p[0] for p in found], [p[2] for p in found], color=GREEN, label="found figures kept")
        for number, threshold in enumerate(judgement.thresholds):
            by_threshold.axvline(
                threshold,
                color=GREY,
                linewidth=1,
                linestyle=":",
                label="thresholds of the folds" if number == 0 else None,
            )
        by_threshold.set(xscale="log", xlabel="Threshold of the triage probability", ylabel="Share", ylim=(0, 1.02))
        by_threshold.legend()
        trade.plot(
            [p.chosen for p in judgement.curve], [p.kept for p in judgement.curve], color=BLUE, label="all figures"
        )
        if found:
            trade.plot(
                [p[1] for p in found], [p[2] for p in found], color=GREEN, label="figures that the cascade finds"
            )
        pooled = judgement.sources[0]
        kept = [measured.value for measured in (pooled.kept, pooled.found_kept) if measured is not None]
        trade.plot([pooled.chosen.value] * len(kept), kept, "s", color=ORANGE, label="as chosen by the other folds")
        trade.legend()
        trade.set(xlabel="Share of sub-tiles looked at", ylabel="Share of figures kept", ylim=(0.9, 1.002), xlim=(0, 1))
        figure.suptitle(
            f"Triage, {pooled.figures} figures in {pooled.mm2:.1f} mm2. {judgement.research_use}", parse_math=False
        )
        figure.savefig(path, dpi=130, metadata={"Software": None})
