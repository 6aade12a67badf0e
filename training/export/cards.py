"""The words and figures of the cards of a release."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.core.card_parts import DetectionThreshold, ScreeningThreshold
from serving.core.modelcard import ModelCard
from serving.core.modelinput import ModelInput
from serving.core.words import RESEARCH_USE
from training.evaluation.judgement import Judgement, ModelName
from training.evaluation.judgement_tables import candidate_figures
from training.export.draft_models import CANDIDATE_PROBABILITY, MERGE_RADIUS_UM
from training.export.judged_card import per_group, summarise_judgement
from training.export.origins import data_of_runs
from training.export.rounding import RoundingDrift
from training.models.det import NMS_IOU
from training.recipes.atypia import AtypiaRecipe
from training.recipes.reading import read_recipe
from training.recipes.screening import ScreeningRecipe
from training.recipes.verifier import VerifierRecipe

UNCHOSEN = 0.5
_WHOLE_TILE = "; it runs over a tile enlarged by 128 / 125, where the cells of all its sub-tiles fall on one grid and are computed once"
_HALF = "float16 behind a cast, float32 arithmetic; against float32 weights on"
_VERSIONED = re.compile(r"_\d+\.\d+\.\d+$")


@dataclass(frozen=True, slots=True)
class Made:
    """A model that was made anew. runs : those that its weights are of."""

    version: str
    runs: tuple[Path, ...]
    parameters: int
    drift: RoundingDrift

    @property
    def backbone(self) -> str:
        """Name of its trunk."""
        return read_recipe(self.runs[0]).backbone


def screening_threshold(score: float, judgement: Judgement) -> ScreeningThreshold:
    """The score from which Det looks at a sub-tile, with what the judgement measured behind it."""
    pooled, judged = judgement.pooled, judgement.cascade.screening is not None
    passed = "" if pooled.sub_tiles_passed is None else f"; {pooled.sub_tiles_passed:.1%} of sub-tiles passed"
    recall = (
        ""
        if pooled.candidate_recall is None
        else f"{pooled.candidate_recall:.1%} of the figures were among the candidates"
    )
    return ScreeningThreshold(
        score=score,
        how_chosen="given; the judged folds were screened at it"
        if judged
        else "given; the judged folds do not state theirs",
        data=", ".join(source.name for source in judgement.sources),
        achieved=f"in cross-validation {recall or 'no figure was to be found'}{passed}",
    )


def regns_card(made: Made, judgement: Judgement, last: ModelName) -> ModelCard:
    """Card of Reg-NS, whose threshold is still open."""
    whole_tile, drift = isinstance(read_recipe(made.runs[0]), ScreeningRecipe), made.drift
    return ModelCard(
        **_common("reg-ns", made, judgement, last),
        task="screening",
        architecture=(
            f"{made.backbone}; a 1 x 1 convolution gives each of 8 x 8 cells its share of the figures, and the sum over cells is "
            "the score s_t = sum of visible area fraction times agreement (Ji et al., Reg-NS)"
            + (_WHOLE_TILE if whole_tile else "")
        ),
        input=ModelInput(
            window_px=250,
            stride_px=125,
            mpp=0.25,
            layout="tiles: uint8 (N, H, W, 3) RGB, H and W multiples of 125",
            whole_tile=whole_tile,
        ),
        output="scores: float32 (N, H / 125 - 1, W / 125 - 1), 0 for no figure, about 1 for a whole one; may exceed 1",
        weights=f"{_HALF} {drift.where} scores move by {drift.mean:.1e} on average and {drift.largest:.1e} at most, where their "
        f"spread is {drift.spread:.2f}",
        screening_threshold=ScreeningThreshold(score=0.0, how_chosen="not yet", data="none", achieved="nothing"),
        figures=candidate_figures(judgement),
    )


def det_card(made: Made, judgement: Judgement, last: ModelName) -> ModelCard:
    """Card of Det, whose threshold is used where no verifier judges."""
    return ModelCard(
        **_common("det", made, judgement, last),
        task="detection",
        architecture=f"Faster R-CNN on a feature pyramid of {made.backbone} (strides 4, 8, 16; 128 channels), anchors of 16 to "
        "72 px, 60 proposals, batched",
        input=ModelInput(window_px=250, stride_px=125, mpp=0.25, layout="windows: uint8 (N, 250, 250, 3) RGB"),
        output="boxes float32 (N, K, 4) xyxy window px; probabilities float32 (N, K); counts int64 (N), rows behind it are 0",
        weights=state_drift(made.drift),
        detection_threshold=_unchosen("not used where a verifier judges; Det was not judged without one"),
        nms_iou=NMS_IOU,
        merge_radius_um=MERGE_RADIUS_UM,
        figures={},
    )


def verifier_card(made: Made, judgement: Judgement, window_px: int) -> ModelCard:
    """Card of the verifier, before the judgement is stated in it. window_px : side of its window."""
    return ModelCard(
        **_common("verifier", made, judgement, "verifier"),
        task="verification",
        architecture=describe_window_net(made, "candidate"),
        input=ModelInput(
            window_px=window_px,
            stride_px=window_px,
            mpp=0.25,
            layout=f"windows: uint8 (N, {window_px}, {window_px}, 3) RGB",
        ),
        output="probabilities: float32 (N), of a mitotic figure in the middle of the window",
        weights=state_drift(made.drift),
        detection_threshold=_unchosen("not yet"),
        candidate_probability=CANDIDATE_PROBABILITY,
        figures={},
    )


def make_kept_card(card: ModelCard, version: str, judgement: Judgement, last: ModelName) -> ModelCard:
    """The card of a model that stays, as another version: its own figures carry the version that they are of."""
    old = {name if _VERSIONED.search(name) else f"{name}_{card.version}": value for name, value in card.figures.items()}
    changed: dict[str, Any] = {
        "version": version,
        "figures": {**old, **(candidate_figures(judgement) if card.task == "screening" else {})},
        "evaluation": f"{summarise_judgement(judgement, last)} The weights are those of {card.version}, of which the figures that "
        f"name a version, and its card stated: {card.evaluation}",
        "per_slide": per_group(judgement),
    }
    return card.model_copy(update=changed)


def _common(name: ModelName, made: Made, judgement: Judgement, last: ModelName) -> dict[str, Any]:
    return {
        "schema_version": "1.0",
        "name": name,
        "version": made.version,
        "parameters": made.parameters,
        "data": data_of_runs(made.runs),
        "evaluation": summarise_judgement(judgement, last),
        "per_slide": per_group(judgement),
        "limits": [],
        "research_use": RESEARCH_USE,
        "files": {"model.onnx": "0" * 64},
    }


def describe_window_net(made: Made, centre: str) -> str:
    """The architecture of nets of the verifier's kind, which answer together. centre : what is in the middle of their windows."""
    nets = [
        f"{recipe.backbone} (the disc of {recipe.geometry.window_px / 4:g} um)"
        for recipe in map(_window_recipe, made.runs)
    ]
    several = "" if len(nets) == 1 else ", and of the nets"
    return (
        f"{' and '.join(nets)} around a {centre}; maps of strides 8 and 16 averaged, one linear layer; mean logit of the eight symmetries of the "
        f"square{several}"
    )


def _window_recipe(run: Path) -> AtypiaRecipe | VerifierRecipe:
    recipe = read_recipe(run)
    if not isinstance(recipe, AtypiaRecipe | VerifierRecipe):
        raise TypeError(f"{run} is a run of {recipe.kind}, which sees no windows around places")
    return recipe


def state_drift(drift: RoundingDrift) -> str:
    """How weights are stored that were rounded to half precision, and what that moves."""
    return f"{_HALF} {drift.where} probabilities move by {drift.largest:.1e} at most"


def _unchosen(why: str) -> DetectionThreshold:
    return DetectionThreshold(probability=UNCHOSEN, how_chosen=f"given: {why}", data="none", achieved="not measured")
