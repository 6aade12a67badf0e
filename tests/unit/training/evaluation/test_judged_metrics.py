"""A metric is one registered function: it is measured with its interval, and is in JSON, tables and cards."""

from collections.abc import Iterator

import pytest

from tests.unit.training.evaluation.test_judge import several
from training.evaluation.judge import judge
from training.evaluation.judged_metrics import METRICS, JudgedGroups, Times, metric, ratio
from training.evaluation.judgement import Judgement
from training.evaluation.judgement_tables import card_figures, markdown, summary_table


@pytest.fixture
def registered() -> Iterator[str]:
    @metric("missed_per_mm2", "missed per mm²", digits=1)
    def missed_per_mm2(judged: JudgedGroups, times: Times) -> float:
        return ratio(judged.total(times, lambda r: r.false_negatives), judged.total(times, lambda r: r.area_mm2))

    assert missed_per_mm2.__name__ == "missed_per_mm2"
    yield "missed_per_mm2"
    METRICS.remove("missed_per_mm2")


def test_a_new_metric_is_measured_and_stated_everywhere(registered: str) -> None:
    judged = judge(several(), draws=50)
    for source in (judged.pooled, *judged.sources):
        missed = sum(group.false_negatives for group in source.groups)
        found = source.measured(registered)
        assert found.value == pytest.approx(missed / source.area_mm2)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= missed / source.area_mm2 <= found.high
    assert Judgement.model_validate_json(judged.model_dump_json()) == judged
    header, _, pooled, *_ = summary_table(judged)
    assert "| missed per mm² |" in header
    assert header.count("|") == pooled.count("|")
    assert card_figures(judged)["cross_validated_two_missed_per_mm2"] == round(
        judged.sources[1].measured(registered).value or 0, 4
    )


def test_a_judgement_of_before_is_still_a_table() -> None:
    judged = judge(several(), draws=20)

    @metric("twice_f1", "twice F1")
    def twice(judged: JudgedGroups, times: Times) -> float:
        return 2 * METRICS["f1"].of(judged, times)

    assert callable(twice)
    try:
        assert "twice F1" not in markdown(judged)
    finally:
        METRICS.remove("twice_f1")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="two metrics called f1"):
        metric("f1", "F1")(METRICS["f1"].of)
