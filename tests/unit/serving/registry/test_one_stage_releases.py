"""A one-stage detector is a release: checked, promoted, judged by gates, compared with a cascade, run in eight bits."""

from pathlib import Path

import numpy as np
import pytest

from serving.comparison.pair import compare
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.registry.golden import read_golden
from serving.registry.measuring import measure
from serving.registry.registry import ModelRegistry
from serving.registry.version import RegistryError, VersionRefusedError
from serving.registry.version_check import check_version
from serving.roles.role import MODEL_ROLES
from serving.scoring.detector import list_cards
from serving.scoring.int8 import INT8
from serving.scoring.loading import load_detector, load_release
from serving.scoring.models import newest_release
from serving.scoring.onnx_detector import OnnxOneStage
from serving.scoring.pipeline import score_slide
from serving.settings import ServerSettings
from serving.slides.arrayslide import ArraySlide
from serving.store.database import open_database
from serving.synthetic.slide import generate_slide, write_geojson
from tests.fakes import make_alone_card
from tests.fields import draw_field
from tests.limits import LONGEST_S
from tests.miniatures.cards import make_boxes_card, make_points_card, write_miniature
from tests.quick_models import restate, write_quick_models

pytestmark = pytest.mark.usefixtures("checks_here")
CPU = ["CPUExecutionProvider"]
CARDS = [make_points_card(), make_boxes_card()]
BOTH = pytest.mark.parametrize("card", CARDS, ids=[card.name for card in CARDS])


@BOTH
def test_a_version_is_checked_by_its_contract(card: ModelCard, tmp_path: Path) -> None:
    folder = write_miniature(tmp_path, card)
    found = check_version(folder, window_s=LONGEST_S, providers=CPU)
    assert (found.name, found.provider) == (card.name, CPU[0])
    assert found.parity == dict.fromkeys(found.parity, 0.0) != {}
    with np.load(folder / "parity.npz") as kept:
        sample = dict(kept)
    np.savez_compressed(folder / "parity.npz", **sample | {"probabilities": 1 - sample["probabilities"]})
    with pytest.raises(ModelError, match=f"model {card.name} 0.0.1 fails parity here: .* in its parity"):
        check_version(restate(folder, card), window_s=LONGEST_S, providers=CPU)


@BOTH
def test_a_graph_of_the_other_contract_is_refused(card: ModelCard, tmp_path: Path) -> None:
    other = next(c for c in CARDS if c.name != card.name)
    folder = write_miniature(tmp_path, card)
    (folder / "model.onnx").write_bytes((write_miniature(tmp_path / "other", other) / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match="breaks the serving contract: outputs are"):
        check_version(restate(folder, card), window_s=LONGEST_S, providers=CPU)


@BOTH
def test_it_runs_in_eight_bits(card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_miniature(tmp_path / "models", card)
    field = draw_field(seed=9, width=900, height=800, mitoses_per_mm2=250.0)
    exact, rounded = (load_detector(tmp_path / "models", providers=[name]) for name in (CPU[0], INT8))
    first, second = (score_slide(ArraySlide(field.pixels, mpp=0.25), one) for one in (exact, rounded))
    assert second.report.software.execution_provider == INT8
    pair = compare(first, second, thresholds=(0.5, 0.5))
    assert pair.matched >= 0.8 * len(first.report.detections) > 0


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"overlap_px": None}, "must state overlap_px"),
        ({"overlap_px": 60}, "stride_px is window_px - overlap_px"),
        ({"overlap_px": 130, "stride_px": 126}, "at most half"),
        ({"overlap_px": 60, "stride_px": 196}, "multiple of 8"),
        ({"normalisation": {"scale": 255, "mean": [0, 0, 0], "std": [1, 0, 1]}}, "std above 0"),
    ],
)
def test_a_card_whose_windows_do_not_fit_is_refused(changed: dict[str, object], why: str) -> None:
    card = make_points_card().model_dump()
    with pytest.raises(ValueError, match=why):
        ModelCard.model_validate(card | {"input": card["input"] | changed})


def test_a_card_states_what_its_contract_needs_and_nothing_of_another() -> None:
    with pytest.raises(ValueError, match="must state peak_distance_um"):
        make_points_card(peak_distance_um=None)
    with pytest.raises(ValueError, match="peak_distance_um is of a model of points"):
        make_boxes_card(peak_distance_um=3.0)
    alone = make_alone_card(window=256, overlap=128).model_dump()
    with pytest.raises(ValueError, match="overlap_px is a one-stage detector's"):
        ModelCard.model_validate(alone | {"name": "det"})


def test_a_folder_serves_its_cascade_where_it_has_one(tmp_path: Path) -> None:
    write_miniature(tmp_path, make_boxes_card())
    write_miniature(tmp_path, make_points_card())
    assert list(newest_release(tmp_path)) == ["points"]
    write_quick_models(tmp_path)
    assert list(newest_release(tmp_path)) == ["reg-ns", "det"]
    (tmp_path / "reg-ns").rename(tmp_path / "gone")
    assert list(newest_release(tmp_path)) == ["points"]
    assert MODEL_ROLES.choose(["det", "verifier"]) == ("det", "verifier")
    with pytest.raises(ModelError, match="no model 'reg-ns'"):
        newest_release(tmp_path / "gone")


def test_it_is_added_promoted_and_rolled_back_like_a_cascade(registry: ModelRegistry, tmp_path: Path) -> None:
    for card in CARDS:
        registry.add(write_miniature(tmp_path / "new", card))
    assert [model.name for model in registry.serving()] == ["reg-ns", "det"]
    registry.promote(["points@0.0.1"], "ann")
    detector = registry.load(registry.serving())
    assert isinstance(detector, OnnxOneStage)
    assert [card.name for card in list_cards(detector)] == ["points"]
    assert [model.name for model in registry.complete(["boxes@0.0.1"])] == ["boxes"]
    assert [row.name for row in registry.versions() if row.serves] == ["points"]
    registry.rollback("ann")
    assert [model.name for model in registry.serving()] == ["reg-ns", "det"]
    assert [model.name for model in registry.complete(["det@0.0.1"])] == ["reg-ns", "det"]


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (["points@0.0.1", "boxes@0.0.1"], "points and boxes are detectors each"),
        (["det@0.0.1", "points@0.0.1", "reg-ns@0.0.1"], "reg-ns and points are detectors each"),
        (["det@0.0.1"], "needs reg-ns too"),
    ],
)
def test_what_is_no_release_is_refused(registry: ModelRegistry, tmp_path: Path, labels: list[str], why: str) -> None:
    for card in CARDS:
        registry.add(write_miniature(tmp_path / "new", card))
    with pytest.raises(RegistryError, match=why):
        registry.cascade(labels)


def test_a_shadow_may_be_of_another_kind_than_what_serves(registry: ModelRegistry, tmp_path: Path) -> None:
    registry.add(write_miniature(tmp_path / "new", make_points_card()))
    made = registry.shadow(["points@0.0.1"], 0.5, "ann")
    assert [model.label for model in made.models] == ["points@0.0.1"]


def test_gates_hold_it_against_a_cascade_on_a_golden_set(tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    folder.mkdir()
    truth = generate_slide(folder / "a.tif", seed=3, width=1536, height=1280, tissue_fraction=0.9, mitoses_per_mm2=200)
    write_geojson(truth, folder / "a.geojson")
    cascade = write_quick_models(tmp_path / "cascade")
    points = write_miniature(tmp_path / "points", make_points_card())
    detectors = [load_detector(cascade, providers=CPU), load_release({"points": points}, providers=CPU)]
    theirs, ours = measure(detectors, read_golden(folder))
    assert ours.figures == theirs.figures > 10
    assert ours.f1 > 0.85 > theirs.f1
    assert ours.brier is not None
    with_truth = [load_detector(tmp_path / "points", providers=CPU)]
    assert measure(with_truth, read_golden(folder))[0].f1 == ours.f1


def test_it_is_compared_with_a_cascade_place_by_place(tmp_path: Path) -> None:
    cascade = load_detector(write_quick_models(tmp_path / "cascade"), providers=CPU)
    points = load_release({"points": write_miniature(tmp_path / "points", make_points_card())}, providers=CPU)
    field = draw_field(seed=9, width=900, height=800, mitoses_per_mm2=250.0)
    analyses = [score_slide(ArraySlide(field.pixels, mpp=0.25), one) for one in (cascade, points)]
    pair = compare(analyses[0], analyses[1], thresholds=(0.3, 0.5))
    assert pair.second.models == ["points@0.0.1"]
    assert pair.second.mitotic_figures == pair.matched + sum("first" not in d.kind for d in pair.disagreements)


def test_licences_that_are_not_allowed_are_refused_with_what_to_do(settings: ServerSettings, tmp_path: Path) -> None:
    allowing = settings.model_copy(update={"allowed_licences": ("cc-by-4.0", "MIT")})
    opened = open_database(allowing)
    try:
        registry = ModelRegistry(allowing, opened)
        by = make_points_card(licence="CC-BY-4.0")
        closed = make_points_card(licence="CC-BY-NC-4.0", version="0.0.2")
        registry.add(write_miniature(tmp_path / "new", by))
        with pytest.raises(
            VersionRefusedError, match=r"points@0\.0\.2 is under CC-BY-NC-4\.0, and MITOSIS_ALLOWED_LIC"
        ):
            registry.add(write_miniature(tmp_path / "new", closed))
        registry.promote(["points@0.0.1"], "ann")
        with pytest.raises(VersionRefusedError, match=r"reg-ns@0\.0\.1 states no licence.*add unstated there"):
            registry.promote(["reg-ns@0.0.1", "det@0.0.1"], "ann")
    finally:
        opened.close()
