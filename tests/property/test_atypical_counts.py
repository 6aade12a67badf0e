"""However a result is counted again, no more figures are atypical than count, and windows that are apart share none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.core.counts import HotspotShape
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.report import Report
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.slides.arrayslide import ArraySlide
from tests.fakes import ATYPICAL_DOT, DOT, ClassifyingDots, plant, tissue
from tests.unit.serving.scoring.test_recount import make_decision

pytestmark = pytest.mark.property
WIDTH, HEIGHT = 2100, 1130


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    rng, pixels = np.random.default_rng(3), tissue(WIDTH, HEIGHT)
    for row in range(5):
        for column in range(9):
            colour = ATYPICAL_DOT if rng.random() < 0.4 else DOT
            side = int(rng.choice([12, 16, 20, 24]))
            plant(pixels, 120 + 230 * column, 120 + 220 * row, side=side, colour=colour)
    return score_slide(ArraySlide(pixels, mpp=0.25), ClassifyingDots(), ScoringOptions(threshold=0.3))


def _check(report: Report) -> None:
    whole, windows = report.counts, report.hotspots
    assert whole.atypical is not None
    assert 0 <= whole.atypical.figures <= whole.atypical.of == whole.mitotic_figures
    for window in windows:
        assert window.atypical is not None
        assert 0 <= window.atypical.figures <= window.atypical.of == window.mitotic_figures
    assert sum(w.atypical.figures for w in windows if w.atypical) <= whole.atypical.figures
    marked = [d for d in report.detections if d.atypical_probability is not None and d.atypical_probability >= 0.5]
    assert len(marked) == whole.atypical.figures


@settings(max_examples=25)
@given(
    st.floats(0.05, 1.0),
    st.floats(0.1, 0.15),
    st.sampled_from(["rectangle", "disc"]),
    st.tuples(
        st.dictionaries(st.integers(0, 44), st.booleans(), max_size=12),
        st.lists(st.tuples(st.floats(50, WIDTH - 50), st.floats(50, HEIGHT - 50)), max_size=3),
    ),
)
def test_atypical_figures_are_among_those_that_count(
    analysis: Analysis,
    threshold: float,
    area: float,
    shape: HotspotShape,
    review: tuple[dict[int, bool], list[tuple[float, float]]],
) -> None:
    made, (verdicts, added) = analysis.report, review
    named = [f"detection-{i}" for i in range(len(made.detections))] + [
        f"candidate-{i}" for i in range(len(made.candidates))
    ]
    chosen = {named[i]: verdict for i, verdict in verdicts.items() if i < len(named)}
    decision = make_decision(made, chosen, added=tuple(added))
    options = CountingOptions(hotspot_area=area, hotspot_shape=shape, hotspots=4)
    report = recount(analysis, options, threshold=threshold, decision=decision).report
    _check(report)
    after = report.review
    assert after is not None
    assert after.counts.atypical is not None
    assert after.counts.atypical.figures <= after.counts.atypical.of == after.counts.mitotic_figures - len(added)
    windows = [w.reviewed for w in after.hotspots]
    assert sum(w.atypical.figures for w in windows if w and w.atypical) <= after.counts.atypical.figures
