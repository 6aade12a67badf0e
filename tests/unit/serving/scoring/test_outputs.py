"""What models give is checked before anything is made of it."""

import numpy as np
import pytest

from serving.core.errors import ModelError
from serving.scoring.outputs import check_finite, clip_probabilities
from tests.fakes import make_cards

CARD = make_cards()[0]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1.01, -0.01])
def test_what_is_no_probability_is_refused_by_the_name_of_the_model(wrong: float) -> None:
    with pytest.raises(ModelError, match=f"{CARD.name} {CARD.version} gave probabilities that are not in 0 to 1"):
        clip_probabilities(CARD, np.asarray([0.5, wrong], np.float32))


def test_what_rounding_takes_past_the_ends_is_clipped() -> None:
    said = np.asarray([-0.0005, 0.3, 1.0005], np.float32)
    np.testing.assert_allclose(clip_probabilities(CARD, said), [0, 0.3, 1], atol=1e-7)
    assert len(clip_probabilities(CARD, said[:0])) == 0


def test_numbers_that_are_not_finite_are_refused_whichever_output_they_are_in() -> None:
    whole, broken = np.zeros(2, np.float32), np.asarray([0, np.nan], np.float32)
    check_finite(CARD, "boxes", whole, whole)
    with pytest.raises(ModelError, match="gave boxes that are not finite"):
        check_finite(CARD, "boxes", whole, broken)
