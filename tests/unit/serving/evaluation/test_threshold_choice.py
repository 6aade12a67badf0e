"""A threshold that is chosen on labelled pictures, and what is said of it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.datasets.store import Picture
from serving.evaluation.measured_picture import MeasuredPicture
from serving.evaluation.metrics import Rates
from serving.evaluation.threshold_choice import choose_detection_threshold


def _measured(case: str, probabilities: NDArray[np.float32], hits: NDArray[np.bool_], missed: int) -> MeasuredPicture:
    true = int(hits.sum()) + missed
    return MeasuredPicture(
        picture=Picture(id=case, path=f"{case}.png", width=100, height=100, mpp=0.25, slide=case, patient=case),
        rates=Rates(0, 0, true),
        probabilities=probabilities,
        hits=hits,
        hotspot_overlap=None,
        hotspot_true=None,
        hotspot_most=None,
        seconds=None,
        tissue_mm2=None,
    )


def _case(name: str, seed: int, *, apart: float = 0.5) -> MeasuredPicture:
    """20 figures of probability about .5 + apart / 2, and 20 false ones of about .5 - apart / 2."""
    rng = np.random.default_rng(seed)
    hits = np.arange(40) < 20
    probabilities = np.where(hits, 0.5 + apart / 2, 0.5 - apart / 2) + rng.uniform(-0.1, 0.1, 40)
    return _measured(name, probabilities.astype(np.float32), hits, 0)


def test_it_parts_figures_from_others_and_is_measured_on_cases_left_out() -> None:
    chosen = choose_detection_threshold([_case(name, i) for i, name in enumerate("abc")], "flat-f1", data="dots")
    assert 0.4 < chosen.probability < 0.6
    assert chosen.data == "dots"
    assert "the rule flat-f1" in chosen.how_chosen
    assert chosen.achieved.startswith("F1 1.000 [1.000, 1.000], precision 1.000, recall 1.000 on 60 figures of 3 cases")


def test_what_is_stated_is_not_of_the_cases_that_chose() -> None:
    """One case says the opposite of the other: chosen on both there is a best F1, and each is poor at the other's threshold."""
    low = _measured("low", np.asarray([0.1, 0.1, 0.02], np.float32), np.asarray([True, True, False]), 0)
    high = _measured(
        "high", np.asarray([0.9, 0.9, 0.8, 0.8, 0.8], np.float32), np.asarray([True, True, *3 * [False]]), 0
    )
    stated = choose_detection_threshold([low, high], "best-f1", data="dots").achieved
    # At the threshold of `high`, .85, nothing of `low` counts; at that of `low`, .06, all of `high` does.
    assert stated.startswith("F1 0.444 ")
    assert "precision 0.400, recall 0.500 on 4 figures of 2 cases" in stated


def test_one_case_measures_nothing_and_none_chooses_nothing() -> None:
    assert choose_detection_threshold([_case("a", 1)], "best-f1", data="dots").achieved.startswith(
        "not measured: 20 figures of 1 case"
    )
    empty = _measured("a", np.empty(0, np.float32), np.empty(0, np.bool_), 0)
    with pytest.raises(ValueError, match="holds no labelled figure"):
        choose_detection_threshold([empty], "flat-f1", data="dots")
