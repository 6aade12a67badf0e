"""A version of a verifier whose graph sees one view, with what a fast analysis may make of that."""

from pathlib import Path

from serving.core.card_parts import VerifierViews
from serving.core.modelcard import ModelCard, load_card
from training.evaluation.views import VERIFIER, ViewsJudgement
from training.export.publishing import check_version_number
from training.export.single_view import write_single_view


def release_views(models: Path, judgement: ViewsJudgement, *, version: str, new: str) -> ModelCard:
    """Write verifier/`new` under `models`: the weights and figures of verifier/`version`, shown one view or eight by serving.

    judgement : of that version

    Raises
    ------
    ValueError
        If the judgement is of another verifier, or `write_single_view` refuses this one.
    ModelError
        If there is no such version, a file of it is not the one that its card names, or `write_single_view` finds the graphs apart.
    FileExistsError
        If the new version is there already.
    """
    check_version_number(new)
    old = models / VERIFIER / version
    card = load_card(old)
    if (label := f"{VERIFIER} {version}") not in judgement.models:
        raise ValueError(f"the judgement is of {', '.join(judgement.models)}, not of {label}")
    views = VerifierViews(
        count=8,
        first_probability=judgement.first_probability,
        how_chosen=f"the highest that {judgement.wanted:.1%} of the detections that count after eight views reach after one, lower by "
        f"{judgement.margin:g} in log odds",
        data=f"{judgement.candidates} candidates of {judgement.patients} patients, of which {judgement.counted} count",
        achieved=f"probabilities that the other patients chose: {judgement.kept.words} of what counts and "
        f"{judgement.asked_again.words} of all candidates are shown all views",
    )
    stated = {
        "architecture": f"{card.architecture}; the graph sees one view, and serving shows it all",
        "evaluation": f"{card.evaluation} The weights are those of {version}, and eight views are what its graph said. One view or "
        f"eight: {judgement.how}.",
        "figures": {
            **card.figures,
            "views_counted_kept": judgement.kept.words,
            "views_candidates_asked_again": judgement.asked_again.words,
        },
    }
    return load_card(write_single_view(old, models, version=new, views=views, stated=stated))
