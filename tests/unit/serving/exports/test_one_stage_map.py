"""Exports say what a map shows: no score of Reg-NS where a one-stage detector gave probabilities."""

import contextlib
import json

import pytest

from serving.core.options import ScoringOptions
from serving.exports import EXPORTS
from serving.exports.export import ExportError
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, DotsAlone, plant, tissue


@pytest.fixture(scope="module", params=[DotDetector, DotsAlone], ids=["cascade", "alone"])
def analysis(request: pytest.FixtureRequest) -> Analysis:
    pixels = tissue(900, 700)
    plant(pixels, 300, 300)
    return score_slide(ArraySlide(pixels, mpp=0.25), request.param(), ScoringOptions(qc="off"))


def _write_plain(analysis: Analysis) -> dict[str, bytes]:
    """Every format that needs neither the slide's own file nor a package that is not there."""
    written = {}
    for name, export in EXPORTS.items():
        if not export.needs_slide:
            with contextlib.suppress(ExportError):
                written[name] = export.render(analysis)
    return written


def test_only_a_cascade_has_scores_of_reg_ns(analysis: Analysis) -> None:
    cascade = analysis.report.settings.map_shows == "screening scores"
    assert analysis.report.settings.score_name == ("Reg-NS score" if cascade else "highest probability")
    named = {name for name, content in _write_plain(analysis).items() if b"Reg-NS score" in content}
    assert bool(named) == cascade, named


def test_measurements_of_a_detection_say_what_its_score_is(analysis: Analysis) -> None:
    written = EXPORTS["geojson"].render(analysis)
    (figure,) = [f for f in json.loads(written)["features"] if f["properties"]["objectType"] == "detection"]
    names = set(figure["properties"]["measurements"])
    assert names == {
        "probability",
        "screening score" if "reg-ns" in str(analysis.report.models) else "highest probability",
    }
