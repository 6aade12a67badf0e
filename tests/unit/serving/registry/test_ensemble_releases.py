"""An ensemble is a version like others: it brings its detectors into a release, and only those that it was made of."""

import json
from pathlib import Path

import numpy as np
import pytest

from serving.comparison.pair import compare
from serving.registry.golden import read_golden
from serving.registry.measuring import measure
from serving.registry.registry import ModelRegistry
from serving.registry.version import RegistryError
from serving.registry.version_check import NO_GRAPH, check_version
from serving.registry.warming import warm_up
from serving.scoring.detector import list_members
from serving.scoring.loading import load_detector, load_release
from serving.scoring.onnx_detector import OnnxEnsemble
from serving.scoring.pipeline import score_slide
from serving.settings import ServerSettings
from serving.slides.arrayslide import ArraySlide
from serving.store.database import open_database
from serving.synthetic.slide import generate_slide, write_geojson
from tests.ensembles import write_ensemble
from tests.fields import draw_field
from tests.limits import LONGEST_S
from tests.miniatures.cards import make_boxes_card, make_points_card, write_miniature
from tests.quick_models import write_quick_models

pytestmark = pytest.mark.usefixtures("checks_here")
CPU = ["CPUExecutionProvider"]


def _add(registry: ModelRegistry, root: Path) -> None:
    """Both miniatures, and an ensemble of the quick cascade and the points."""
    points = write_miniature(root, make_points_card())
    registry.add(points)
    registry.add(write_miniature(root, make_boxes_card()))
    cascade = registry.locate(registry.serving())
    members = {"cascade": [cascade["reg-ns"], cascade["det"]], "points": [points]}
    registry.add(write_ensemble(root, members))


def test_it_brings_its_detectors_and_is_rolled_back(registry: ModelRegistry, tmp_path: Path) -> None:
    _add(registry, tmp_path / "new")
    assert [model.name for model in registry.serving()] == ["reg-ns", "det"]
    made = registry.promote(["ensemble@0.0.1"], "ann")
    assert [model.label for model in made.models] == ["reg-ns@0.0.1", "det@0.0.1", "points@0.0.1", "ensemble@0.0.1"]
    detector = registry.load(registry.serving())
    assert isinstance(detector, OnnxEnsemble)
    assert list(list_members(detector)) == ["cascade", "points"]
    assert {row.name for row in registry.versions() if row.serves} == {"reg-ns", "det", "points", "ensemble"}
    assert registry.complete(["ensemble@0.0.1"]) == made.models
    registry.rollback("ann")
    assert [model.name for model in registry.serving()] == ["reg-ns", "det"]
    assert registry.complete(["ensemble@0.0.1"]) == made.models
    shadow = registry.shadow(["ensemble@0.0.1"], 0.5, "ann")
    assert shadow.models == made.models


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (
            ["reg-ns@0.0.1", "det@0.0.1", "points@0.0.1"],
            "or an ensemble of them; `mitoserve models ensemble` makes one",
        ),
        (["ensemble@0.0.1", "boxes@0.0.1"], r"boxes@0\.0\.1 is no part of ensemble@0\.0\.1"),
        (["ensemble@0.0.1", "points@0.0.2"], r"points@0\.0\.2 is no part of ensemble@0\.0\.1, which was made of"),
    ],
)
def test_what_is_not_its_own_is_refused(registry: ModelRegistry, tmp_path: Path, labels: list[str], why: str) -> None:
    _add(registry, tmp_path / "new")
    registry.add(write_miniature(tmp_path / "new", make_points_card(version="0.0.2")))
    with pytest.raises(RegistryError, match=why):
        registry.cascade(labels)


def test_its_card_is_checked_and_has_no_graph(registry: ModelRegistry, tmp_path: Path) -> None:
    _add(registry, tmp_path / "new")
    found = check_version(tmp_path / "new" / "ensemble" / "0.0.1", window_s=LONGEST_S, providers=CPU)
    assert (found.provider, found.parity) == (NO_GRAPH, {})
    path = tmp_path / "new" / "ensemble" / "0.0.1" / "card.json"
    card = json.loads(path.read_text())
    card["version"] = "0.0.2"
    card["fusion"]["detectors"][1]["models"][0]["card"] = "1" * 64
    other = tmp_path / "new" / "ensemble" / "0.0.2"
    other.mkdir()
    (other / "card.json").write_text(json.dumps(card))
    registry.add(other)
    with pytest.raises(RegistryError, match=r"points@0\.0\.1 is not the one that ensemble@0\.0\.2 was made of"):
        registry.promote(["ensemble@0.0.2"], "ann")


def test_licences_are_asked_of_its_detectors(settings: ServerSettings, tmp_path: Path) -> None:
    allowing = settings.model_copy(update={"allowed_licences": ("Apache-2.0",)})
    opened = open_database(allowing)
    try:
        registry = ModelRegistry(allowing, opened)
        members = {
            card.name: [write_miniature(tmp_path / "new", card)] for card in (make_points_card(), make_boxes_card())
        }
        for (folder,) in members.values():
            registry.add(folder)
        registry.add(write_ensemble(tmp_path / "new", members))
        made = registry.promote(["ensemble@0.0.1"], "ann")
        assert [model.name for model in made.models] == ["points", "boxes", "ensemble"]
    finally:
        opened.close()


def test_gates_and_comparison_take_it_like_others(tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    folder.mkdir()
    truth = generate_slide(folder / "a.tif", seed=3, width=1280, height=1024, tissue_fraction=0.9, mitoses_per_mm2=200)
    write_geojson(truth, folder / "a.geojson")
    root = tmp_path / "models"
    points, boxes = write_miniature(root, make_points_card()), write_miniature(root, make_boxes_card())
    write_ensemble(root, {"points": [points], "boxes": [boxes]})
    fused, alone = load_detector(root, providers=CPU), load_release({"points": points}, providers=CPU)
    warm_up(fused)
    ours, theirs = measure([fused, alone], read_golden(folder))
    assert ours.figures == theirs.figures > 5
    assert ours.f1 > 0.8
    assert min(ours.seconds, theirs.seconds) > 0
    cascade = load_detector(write_quick_models(tmp_path / "cascade"), providers=CPU)
    field = draw_field(seed=9, width=900, height=800, mitoses_per_mm2=250.0)
    analyses = [score_slide(ArraySlide(field.pixels, mpp=0.25), one) for one in (cascade, fused)]
    pair = compare(analyses[0], analyses[1], thresholds=(0.3, 0.5))
    assert pair.second.models == ["points@0.0.1", "boxes@0.0.1", "ensemble@0.0.1"]
    running, stop = fused.stoppable()
    stop()
    with pytest.raises(Exception, match=r"(?i)terminate"):
        score_slide(ArraySlide(np.ascontiguousarray(field.pixels), mpp=0.25), running)
