"""Real graphs of both contracts find the figures of generated tissue, each at its own resolution."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from serving.core.geometry import Roi
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.scoring.loading import load_detector
from serving.scoring.matching import MATCH_RADIUS_UM, match_centres
from serving.scoring.onnx_detector import OnnxOneStage
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from serving.synthetic.field import MPP, SyntheticField
from tests.fields import draw_field
from tests.miniatures.cards import make_boxes_card, make_points_card, write_miniature
from tests.quick_models import restate

CPU = ["CPUExecutionProvider"]
CARDS = [make_points_card(), make_boxes_card()]
WIDTH, HEIGHT = 1777, 1393
"""Odd, with seams of windows and of tiles in both directions."""


@pytest.fixture(scope="module")
def field() -> SyntheticField:
    """Tissue that no miniature was trained on, with as many look-alikes as figures."""
    return draw_field(seed=77, width=WIDTH, height=HEIGHT, mitoses_per_mm2=250.0, lookalikes_per_mm2=250.0)


@pytest.fixture(scope="module", params=CARDS, ids=[card.name for card in CARDS])
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxOneStage:
    card: ModelCard = request.param
    root = tmp_path_factory.mktemp(card.name)
    write_miniature(root, card)
    found = load_detector(root, providers=CPU)
    assert isinstance(found, OnnxOneStage)
    return found


def measure_f1(report: Report, field: SyntheticField, roi: Roi | None = None) -> float:
    """F1 of a report against what was drawn, within 7.5 um."""
    true = ((field.mitotic_figures[:, :2] + field.mitotic_figures[:, 2:]) / 2).astype(np.float64)
    true = true if roi is None else true[roi.contains(true)]
    found = np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in report.detections]).reshape(-1, 2)
    matched = len(match_centres(found, true, MATCH_RADIUS_UM / MPP))
    return 2 * matched / (len(true) + len(found))


def test_it_finds_the_figures_of_a_field_of_odd_sides(detector: OnnxOneStage, field: SyntheticField) -> None:
    assert len(field.mitotic_figures) >= 25
    report = score_slide(ArraySlide(field.pixels, mpp=MPP), detector).report
    assert measure_f1(report, field) >= 0.9
    assert report.settings.work_mpp == pytest.approx(detector.card.input.mpp)
    assert report.settings.map_shows == "highest probabilities"
    assert report.counts.expected is None
    assert [model.thresholds for model in report.models] == [{"detection": 0.5}]


def test_a_region_of_interest_bounds_it(detector: OnnxOneStage, field: SyntheticField) -> None:
    roi = Roi(((301, 211), (1450, 260), (1201, 1183), (222, 1002)))
    report = score_slide(ArraySlide(field.pixels, mpp=MPP), detector, ScoringOptions(roi=roi)).report
    assert measure_f1(report, field, roi) >= 0.9


def test_the_map_shows_the_highest_probability_around_each_place(detector: OnnxOneStage, field: SyntheticField) -> None:
    analysis = score_slide(ArraySlide(field.pixels, mpp=MPP), detector)
    lattice = analysis.mitosis_map
    for found in analysis.report.detections:
        row, column = (
            int((v - o) // lattice.step)
            for v, o in ((found.y + found.height / 2, lattice.y), (found.x + found.width / 2, lattice.x))
        )
        around = lattice.scores[max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1]
        # Its probability is a mean over windows, the map's the highest of any.
        assert np.nanmax(around) >= found.probability - 1e-5
    assert np.nanmax(lattice.scores) <= 1
    for tile in analysis.report.tiles:
        assert len(tile.scores) == len(tile.scores[0]) == 7
    assert (np.nan_to_num(lattice.scores) == 0).any()


def test_the_graph_of_a_fixed_batch_gives_the_same(tmp_path: Path, field: SyntheticField) -> None:
    card = make_points_card()
    free = write_miniature(tmp_path / "free", card)
    fixed = write_miniature(tmp_path / "fixed", card)
    graph = onnx.load(fixed / "model.onnx")
    for tensor in (*graph.graph.input, *graph.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, fixed / "model.onnx")
    restate(fixed, card)
    windows = np.stack([field.pixels[y : y + 256, y : y + 256] for y in (0, 300, 800)])
    both = [load_detector(folder.parents[1], providers=CPU) for folder in (free, fixed)]
    assert all(isinstance(one, OnnxOneStage) for one in both)
    first, second = (one.find(windows) for one in both if isinstance(one, OnnxOneStage))
    for a, b in zip(first, second, strict=True):
        assert np.allclose(a.boxes, b.boxes, atol=1e-3)
        assert np.allclose(a.probabilities, b.probabilities, atol=1e-5)
