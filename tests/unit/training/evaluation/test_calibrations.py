import numpy as np
import pytest
from scipy.special import expit

from serving.core.probability import LogitAffine
from serving.scoring.reliability import reliability
from tests.unit.training.evaluation.test_judge import several
from training.evaluation.calibrations import CALIBRATIONS, logits
from training.evaluation.judge import judge


def overconfident(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose logits are twice what they should be, and off by one."""
    rng = np.random.default_rng(1)
    z = rng.normal(-1, 2, count)
    return expit(2 * z + 1), rng.random(count) < expit(z)


@pytest.mark.parametrize("name", sorted(set(CALIBRATIONS) - {"none", "temperature"}))
def test_a_fit_makes_probabilities_true_of_cases_it_did_not_see(name: str) -> None:
    scores, figures = overconfident()
    fitted = CALIBRATIONS[name](scores[:3000], figures[:3000])
    raw = reliability(scores[3000:], figures[3000:]).expected_calibration_error
    calibrated = reliability(fitted.apply(scores[3000:]), figures[3000:]).expected_calibration_error
    assert raw > 0.1
    assert calibrated < 0.04


def test_platt_finds_slope_and_intercept() -> None:
    fitted = CALIBRATIONS["platt"](*overconfident())
    assert isinstance(fitted, LogitAffine)
    assert fitted.slope == pytest.approx(0.5, abs=0.05)
    assert fitted.intercept == pytest.approx(-0.5, abs=0.1)


def test_temperature_has_no_intercept() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(0, 2, 4000)
    fitted = CALIBRATIONS["temperature"](expit(3 * z), rng.random(4000) < expit(z))
    assert isinstance(fitted, LogitAffine)
    assert fitted.intercept == 0
    assert fitted.slope == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("name", list(CALIBRATIONS))
@pytest.mark.parametrize("case", ["all figures", "none", "separable", "reversed", "constant", "one"])
def test_every_fit_keeps_the_order_and_stays_a_probability(name: str, case: str) -> None:
    scores = np.linspace(0, 1, 40)
    figures = {
        "all figures": np.ones(40, np.bool_),
        "none": np.zeros(40, np.bool_),
        "separable": scores > 0.5,
        "reversed": scores < 0.5,
        "constant": scores > 0.5,
        "one": np.ones(1, np.bool_),
    }[case]
    if case == "constant":
        scores = np.full(40, 0.7)
    fitted = CALIBRATIONS[name](scores[: len(figures)], figures)
    p = fitted.apply(np.linspace(0, 1, 101))
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) >= -1e-12).all()


def test_logits_are_cut_where_serving_cuts_them() -> None:
    assert np.isfinite(logits(np.asarray([0.0, 1.0]))).all()
    assert LogitAffine(slope=1, intercept=0).apply(np.asarray([0.0, 0.25, 1.0])) == pytest.approx(
        [1e-6, 0.25, 1 - 1e-6]
    )


def test_a_calibration_is_one_registered_function() -> None:
    @CALIBRATIONS.register("halves")
    def halves(scores: np.ndarray, figures: np.ndarray) -> LogitAffine:
        return LogitAffine(slope=0.5, intercept=0.0)

    try:
        judged = judge(several(), calibration="halves", draws=20)
        assert {row.calibration for row in judged.folds} == {"halves"}
        assert judged.release.calibration_map == halves(np.empty(0), np.empty(0, np.bool_))
    finally:
        CALIBRATIONS.remove("halves")
