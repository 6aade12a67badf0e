"""A judgement in a card: what was chosen on all groups is served, what is stated is of the folds."""

import pytest

from serving.core.modelcard import ModelCard
from tests.fakes import make_cards, make_verifier_card
from tests.unit.training.evaluation.test_judge import several
from training.evaluation.judge import judge
from training.evaluation.judgement import Judgement
from training.export.judged_card import make_judged_card


@pytest.fixture(scope="module")
def judged() -> Judgement:
    return judge(several(), draws=50)


@pytest.mark.parametrize("card", [make_verifier_card(), make_cards()[1]], ids=["verifier", "det"])
def test_the_card_serves_what_was_chosen_and_states_what_was_judged(judged: Judgement, card: ModelCard) -> None:
    made = make_judged_card(card, judged)
    assert ModelCard.model_validate_json(made.model_dump_json()) == made
    assert made.detection_threshold is not None
    assert made.probability_calibration is not None
    assert made.figure_count is not None
    assert made.detection_threshold.probability == judged.release.threshold
    assert made.probability_calibration.map == judged.release.calibration_map
    assert (made.figure_count.factor, made.figure_count.spread) == (
        judged.release.count_factor,
        judged.release.count_spread,
    )
    assert f"F1 {judged.pooled.f1.value:.3f}" in made.evaluation
    assert "are others and are not judged" in made.evaluation
    assert [row.slide for row in made.per_slide] == ["a (one)", "b (one)", "c (two)", "d (two)"]
    assert made.figures["cross_validated_two_f1"] == round(judged.sources[1].f1.value or 0, 4)
    assert (made.files, made.candidate_probability) == (card.files, card.candidate_probability)


def test_the_share_of_det_is_the_judgements_and_else_stays(judged: Judgement) -> None:
    card = make_verifier_card().model_copy(update={"detector_share": 0.25})
    assert make_judged_card(card, judged).detector_share == 0.25
    stated = judged.cascade.model_copy(update={"detector_share": 0.4})
    assert make_judged_card(card, judged.model_copy(update={"cascade": stated})).detector_share == 0.4


def test_a_screening_model_was_not_judged(judged: Judgement) -> None:
    with pytest.raises(ValueError, match="reg-ns screens"):
        make_judged_card(make_cards()[0], judged)
