"""Several detectors as one: each sees the slide at its own resolution, and what they found is fused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.core.detections import Detections
from serving.core.errors import ModelError
from serving.core.fusion import FusedModel
from serving.core.geometry import Roi
from serving.core.modelcard import ModelCard
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.probability import LogitAffine
from serving.scoring.detector import list_cards, list_released_cards
from serving.scoring.fusion import find_places, fuse
from serving.scoring.loading import load_detector
from serving.scoring.models import newest_release
from serving.scoring.onnx_detector import OnnxEnsemble
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.scoring.report_identity import answers
from serving.scoring.tile_findings import TileFindings
from serving.slides.arrayslide import ArraySlide
from serving.synthetic.field import MPP, SyntheticField
from tests.ensembles import fuse_detectors, make_ensemble_card, make_rule, write_ensemble
from tests.fakes import ClassifyingDots, DotDetector, DotsAlone, TriagedDots, make_alone_card, plant, tissue
from tests.fields import draw_field
from tests.miniatures.cards import make_boxes_card, make_points_card, write_miniature
from tests.unit.serving.scoring.test_miniatures import HEIGHT, WIDTH, measure_f1

CPU = ["CPUExecutionProvider"]


@pytest.fixture(scope="module")
def field() -> SyntheticField:
    return draw_field(seed=77, width=WIDTH, height=HEIGHT, mitoses_per_mm2=250.0, lookalikes_per_mm2=250.0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of both miniatures and their ensemble."""
    root = tmp_path_factory.mktemp("ensemble")
    members = {card.name: [write_miniature(root, card)] for card in (make_points_card(), make_boxes_card())}
    write_ensemble(root, members, method="mean")
    return root


def test_trained_miniatures_together_find_the_figures_of_a_field_of_odd_sides(
    trained: Path, field: SyntheticField
) -> None:
    detector = load_detector(trained, providers=CPU)
    assert isinstance(detector, OnnxEnsemble)
    report = score_slide(ArraySlide(field.pixels, mpp=MPP), detector).report
    assert measure_f1(report, field) >= 0.9
    assert [model.name for model in report.models] == ["points", "boxes", "ensemble"]
    assert [model.thresholds for model in report.models] == [{"candidate": 0.2}, {"candidate": 0.2}, {"detection": 0.5}]
    assert report.ensemble is not None
    assert [(member.name, member.weight, member.mpp) for member in report.ensemble.detectors] == [
        ("points", 0.5, 0.5),
        ("boxes", 0.5, 0.4),
    ]
    assert all(found.detectors for found in [*report.detections, *report.candidates])
    assert sum(len(found.detectors or {}) == 2 for found in report.detections) >= 20
    assert set(report.timing.detectors_s or {}) == {"points", "boxes"}
    centres = np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in report.detections])
    away = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1)) * MPP
    assert away[np.triu_indices(len(centres), 1)].min() > 5


@pytest.mark.parametrize("method", ["mean", "logit"])
def test_a_region_of_interest_bounds_it(trained: Path, field: SyntheticField, method: str, tmp_path: Path) -> None:
    members = {card.name: [write_miniature(tmp_path, card)] for card in (make_points_card(), make_boxes_card())}
    write_ensemble(tmp_path, members, method=method)
    roi = Roi(((301, 211), (1450, 260), (1201, 1183), (222, 1002)))
    detector = load_detector(tmp_path, providers=CPU)
    report = score_slide(ArraySlide(field.pixels, mpp=MPP), detector, ScoringOptions(roi=roi)).report
    assert measure_f1(report, field, roi) >= 0.9


def _planted() -> tuple[np.ndarray, list[tuple[int, int]]]:
    pixels, places = tissue(1703, 1207), [(60, 60), (500, 498), (1000, 1003), (1690, 700), (800, 1190)]
    for x, y in places:
        plant(pixels, x, y)
    return pixels, places


def _alone(name: str, mpp: float) -> DotsAlone:
    card = make_alone_card(mpp=mpp)
    return DotsAlone(card if name == "boxes" else ModelCard.model_validate(card.model_dump() | {"name": name}))


def test_a_cascade_and_a_detector_at_another_resolution_count_each_figure_once() -> None:
    pixels, places = _planted()
    detector = fuse_detectors({"cascade": DotDetector(), "boxes": _alone("boxes", 0.5)})
    analysis = score_slide(ArraySlide(pixels, mpp=MPP), detector)
    report = analysis.report
    assert report.counts.mitotic_figures == len(places)
    assert {tuple(found.detectors or {}) for found in report.detections} == {("cascade", "boxes")}
    # The first detector gives map, tiles and settings.
    assert report.settings.map_shows == "screening scores"
    assert report.settings.work_mpp == 0.25
    assert all(found.score > 0 for found in report.detections)
    assert sum(tile.mitotic_count for tile in report.tiles) == len(places)
    assert report.map_model.name == "reg-ns"
    fewer = recount(analysis, CountingOptions(hotspot_area=0.1), threshold=0.5).report
    assert [found.detectors for found in fewer.detections] == [found.detectors for found in report.detections]


def test_it_is_the_detector_itself_where_it_has_one() -> None:
    pixels, _ = _planted()
    alone = score_slide(ArraySlide(pixels, mpp=MPP), _alone("boxes", 0.5)).report
    fused = score_slide(ArraySlide(pixels, mpp=MPP), fuse_detectors({"boxes": _alone("boxes", 0.5)})).report
    assert [d.model_copy(update={"detectors": None}) for d in fused.detections] == alone.detections
    assert fused.counts == alone.counts
    assert fused.analysis_id != alone.analysis_id


class _Half(DotsAlone):
    """Sees the left half of each window's dots alone, so that some are its own silence."""

    def find(self, windows: np.ndarray) -> list[Detections]:
        return [found[:0] for found in super().find(windows)]


def test_silence_counts_as_the_floor() -> None:
    pixels, places = _planted()
    silent = _Half(make_alone_card())
    for weight, counted in ((1.0, len(places)), (4.0, 0)):
        detector = fuse_detectors(
            {"cascade": DotDetector(), "boxes": silent}, weights=[2.0, weight], floor=0.05, threshold=0.5
        )
        report = score_slide(ArraySlide(pixels, mpp=MPP), detector).report
        assert report.counts.mitotic_figures == counted
        found = [*report.detections, *report.candidates]
        own = [(d.detectors or {})["cascade"] for d in found]
        assert [d.probability for d in found] == pytest.approx(
            [(2 * p + weight * 0.05) / (2 + weight) for p in own], abs=2e-5
        )


def test_what_was_not_looked_at_is_not_heard() -> None:
    box = np.asarray([[10, 10, 20, 20]], np.float32)
    said = Detections(box, np.asarray([0.8], np.float32), np.zeros(1, np.float32))
    places = find_places({"points": said, "boxes": Detections.empty()}, 30)
    models = {name: [FusedModel(name=name, version="1", card="0" * 64)] for name in ("points", "boxes")}
    rule = make_rule(models, floor=0.1)
    found = {"points": said, "boxes": Detections.empty()}
    here = {"points": np.asarray([True]), "boxes": np.asarray([False])}
    assert fuse(found, here, places, rule).probabilities == pytest.approx([0.8])
    here["boxes"][:] = True
    assert fuse(found, here, places, rule).probabilities == pytest.approx([0.45])


def test_it_goes_on_from_any_chunk_and_gives_the_same() -> None:
    pixels, _ = _planted()
    detector = fuse_detectors({"cascade": DotDetector(), "boxes": _alone("boxes", 0.5)})
    slide, chunks, steps = ArraySlide(pixels, mpp=MPP), list[list[TileFindings]](), list[tuple[int, int]]()
    whole = score_slide(
        slide,
        detector,
        on_finished=lambda chunk: chunks.append(list(chunk)),
        on_progress=lambda done, total: steps.append((done, total)),
    ).report
    assert len(chunks) == 2
    assert steps[0] == (0, steps[0][1])
    assert [done for done, _ in steps] == list(range(steps[0][1] + 1))
    for kept in range(3):
        finished = [tile for chunk in chunks[:kept] for tile in chunk]
        again = score_slide(slide, detector, finished=finished).report
        assert again.detections == whole.detections
        assert again.analysis_id == whole.analysis_id
    with pytest.raises(ValueError, match=r"not the first ones .* 1 too many"):
        score_slide(slide, detector, finished=[*(t for c in chunks for t in c), chunks[0][0]])


def test_a_fast_analysis_is_fast_in_its_cascade_and_atypia_is_asked_of_what_comes_out() -> None:
    pixels, places = _planted()
    light = fuse_detectors({"cascade": TriagedDots(), "boxes": _alone("boxes", 0.5)})
    report = score_slide(ArraySlide(pixels, mpp=MPP), light, ScoringOptions(cascade="fast")).report
    assert report.counts.mitotic_figures == len(places)
    assert [model.name for model in report.models] == ["triage", "reg-ns", "det", "boxes", "ensemble"]
    with_atypia = fuse_detectors({"boxes": _alone("boxes", 0.5)})
    assert list_released_cards(with_atypia)[-1].name == "ensemble"
    assert ClassifyingDots().atypia is not None


def test_the_identity_holds_weights_and_calibration() -> None:
    pixels, _ = _planted()
    slide = ArraySlide(pixels, mpp=MPP)
    made = [
        fuse_detectors({"cascade": DotDetector(), "boxes": _alone("boxes", 0.5)}, weights=weights, method=method)
        for weights, method in (((1.0, 1.0), "mean"), ((1.0, 2.0), "mean"), ((1.0, 1.0), "logit"))
    ]
    reports = [score_slide(slide, detector).report for detector in made]
    assert len({report.analysis_id for report in reports}) == 3
    for report, detector in zip(reports, made, strict=True):
        assert answers(report, ScoringOptions(), list_released_cards(detector))
    assert not answers(reports[0], ScoringOptions(), list_released_cards(made[1]))


def test_its_probability_is_calibrated_last() -> None:
    pixels, places = _planted()
    detector = fuse_detectors({"boxes": _alone("boxes", 0.5)})
    lower = LogitAffine(slope=1.0, intercept=-1.0)
    stated = {"how_chosen": "by hand", "data": "none", "achieved": "not measured"}
    changed = detector.ensemble_card.model_dump() | {"probability_calibration": {"map": lower.model_dump(), **stated}}
    detector.ensemble_card = ModelCard.model_validate(changed)
    before = score_slide(ArraySlide(pixels, mpp=MPP), fuse_detectors({"boxes": _alone("boxes", 0.5)})).report
    after = score_slide(ArraySlide(pixels, mpp=MPP), detector).report
    assert len(before.detections) == len(places)
    seen = [*after.detections, *after.candidates]
    both = zip((d.probability for d in before.detections), (d.probability for d in seen), strict=True)
    assert all(low == pytest.approx(float(lower.apply(np.asarray(high))), abs=2e-5) for high, low in both)


def test_a_folder_serves_its_ensemble_and_only_of_the_versions_that_it_was_made_of(
    trained: Path, tmp_path: Path
) -> None:
    assert list(newest_release(trained)) == ["points", "boxes", "ensemble"]
    root = tmp_path / "models"
    members = {card.name: [write_miniature(root, card)] for card in (make_points_card(), make_boxes_card())}
    write_miniature(root, make_points_card(version="0.0.2"))
    write_ensemble(root, members)
    found = newest_release(root)
    assert found["points"].name == "0.0.1"
    assert [card.name for card in list_cards(load_detector(root, providers=CPU))] == ["points", "boxes", "ensemble"]
    changed = members["boxes"][0] / "card.json"
    changed.write_text(changed.read_text() + "\n")
    with pytest.raises(ModelError, match=r"ensemble@0\.0\.1 was made of another boxes@0\.0\.1"):
        newest_release(root)
    changed.unlink()
    with pytest.raises(ModelError, match=r"was made of boxes@0\.0\.1, which is not there"):
        newest_release(root)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"fusion": None}, "must state fusion"),
        ({"files": {"model.onnx": "0" * 64}}, "has no model.onnx"),
        ({"merge_radius_um": 6.0}, "an ensemble sees no pixels"),
        ({"detection_threshold": None}, "must state detection_threshold"),
    ],
)
def test_a_card_that_is_no_ensemble_is_refused(changed: dict[str, Any], why: str) -> None:
    rule = make_rule({"points": [FusedModel(name="points", version="1", card="0" * 64)]})
    with pytest.raises(ValueError, match=why):
        make_ensemble_card(rule, **changed)
    with pytest.raises(ValueError, match="fusion is an ensemble's"):
        make_points_card(fusion=rule)
