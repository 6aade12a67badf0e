"""An atypia model is part of a release like the others: checked, promoted beside a cascade or alone, compared, gone back from."""

from pathlib import Path

import numpy as np
import pytest

from serving.comparison.pair import compare
from serving.core.errors import ModelError
from serving.jobs.job import models_key
from serving.registry.registry import ModelRegistry
from serving.registry.version import RegistryError
from serving.registry.version_check import check_version
from serving.registry.warming import warm_up
from serving.roles.role import MODEL_ROLES
from serving.scoring.detector import find_atypia, list_cards, list_released_cards
from serving.scoring.int8 import INT8
from serving.scoring.loading import load_detector
from serving.scoring.models import newest_release
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import ClassifyingDots, DotDetector, RedDots, make_atypia_card
from tests.limits import LONGEST_S
from tests.miniatures.atypia import draw_figures, write_atypia_model
from tests.miniatures.cards import make_points_card, write_miniature
from tests.quick_models import pale_middle, quick_light, restate, write_quick_model, write_quick_models

CPU = ["CPUExecutionProvider"]


def test_a_version_is_checked_by_its_contract(tmp_path: Path) -> None:
    folder = write_atypia_model(tmp_path)
    found = check_version(folder, window_s=LONGEST_S, providers=CPU)
    assert (found.name, found.parity) == ("atypia", {"probabilities": 0.0})
    with np.load(folder / "parity.npz") as kept:
        sample = dict(kept)
    np.savez_compressed(folder / "parity.npz", **sample | {"probabilities": 1 - sample["probabilities"]})
    with pytest.raises(ModelError, match=r"model atypia 0\.0\.1 fails parity here"):
        check_version(restate(folder, make_atypia_card()), window_s=LONGEST_S, providers=CPU)
    other = write_quick_model(tmp_path / "other", make_atypia_card(), quick_light("atypical"), window=64)
    with pytest.raises(ModelError, match="breaks the serving contract: outputs are"):
        check_version(other, window_s=LONGEST_S, providers=CPU)


def test_a_folder_serves_it_beside_what_finds_figures(tmp_path: Path) -> None:
    write_atypia_model(tmp_path)
    with pytest.raises(ModelError, match="no model 'reg-ns'"):
        newest_release(tmp_path)
    write_miniature(tmp_path, make_points_card())
    assert list(newest_release(tmp_path)) == ["points", "atypia"]
    write_quick_models(tmp_path)
    assert list(newest_release(tmp_path)) == ["reg-ns", "det", "atypia"]
    write_atypia_model(tmp_path, version="0.0.2")
    detector = load_detector(tmp_path, providers=CPU)
    assert [card.name for card in list_cards(detector)] == ["reg-ns", "det"]
    assert [f"{card.name} {card.version}" for card in list_released_cards(detector)][-1] == "atypia 0.0.2"
    warm_up(detector)


def test_it_is_added_promoted_shadowed_and_gone_back_from(registry: ModelRegistry, tmp_path: Path) -> None:
    assert [model.label for model in registry.serving()] == ["reg-ns@0.0.1", "det@0.0.1"]
    registry.add(write_atypia_model(tmp_path / "new"))
    assert [model.name for model in registry.serving()] == ["reg-ns", "det"], (
        "nothing that is added changes what serves"
    )
    with pytest.raises(RegistryError, match="needs reg-ns and det too"):
        registry.cascade(["atypia@0.0.1"])
    together = registry.complete(["atypia@0.0.1"])
    assert [model.label for model in together] == ["reg-ns@0.0.1", "det@0.0.1", "atypia@0.0.1"]
    registry.promote([model.label for model in together], "ann")
    assert find_atypia(registry.load(registry.serving())) is not None
    made = registry.shadow(["reg-ns@0.0.1", "det@0.0.1"], 0.5, "ann")
    assert [model.name for model in made.models] == ["reg-ns", "det"]
    registry.shadows.stop(made.number)
    registry.rollback("ann")
    assert [model.name for model in registry.serving()] == ["reg-ns", "det"]
    assert find_atypia(registry.load(registry.serving())) is None


def test_two_versions_are_compared_by_what_they_call_atypical(tmp_path: Path) -> None:
    pixels, middles, pale = draw_figures(51, 1024, 768)
    reports = []
    for version, threshold in (("0.0.1", 0.5), ("0.0.2", 1.0)):
        root = tmp_path / version
        write_miniature(root, make_points_card())
        write_atypia_model(root, version=version, threshold=threshold)
        reports.append(score_slide(ArraySlide(pixels, mpp=0.25), load_detector(root, providers=CPU)))
    pair = compare(reports[0], reports[1], thresholds=(0.5, 0.5))
    assert pair.first.models == ["points@0.0.1", "atypia@0.0.1"]
    assert pair.second.models == ["points@0.0.1", "atypia@0.0.2"]
    assert (pair.first.atypical_figures or 0) > 0 == pair.second.atypical_figures
    assert pair.matched == pair.first.mitotic_figures == pair.second.mitotic_figures > len(middles) / 2
    assert abs((pair.first.atypical_figures or 0) - pale.sum()) <= 2


def test_it_runs_where_models_run_in_eight_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_miniature(tmp_path / "models", make_points_card())
    write_atypia_model(tmp_path / "models")
    pixels, _, _ = draw_figures(51, 1024, 768)
    exact, rounded = (
        score_slide(ArraySlide(pixels, mpp=0.25), load_detector(tmp_path / "models", providers=[name])).report
        for name in (CPU[0], INT8)
    )
    assert exact.counts.atypical is not None
    assert rounded.counts.atypical is not None
    assert abs(exact.counts.atypical.figures - rounded.counts.atypical.figures) <= 2


def test_a_model_that_gives_no_probabilities_is_refused(tmp_path: Path) -> None:
    write_miniature(tmp_path, make_points_card())
    graph = pale_middle()
    graph.node[-1].op_type = "Identity"
    write_quick_model(tmp_path, make_atypia_card(), graph, window=64)
    atypia = find_atypia(load_detector(tmp_path, providers=CPU))
    assert atypia is not None
    with pytest.raises(ModelError, match=r"atypia 0\.0\.1 gave probabilities that are not in 0 to 1"):
        atypia.classify(np.full((1, 64, 64, 3), 255, np.uint8))


def test_an_analysis_that_is_stopped_ends_in_it_too(tmp_path: Path) -> None:
    write_miniature(tmp_path, make_points_card())
    write_atypia_model(tmp_path)
    copy, stop = load_detector(tmp_path, providers=CPU).stoppable()
    assert copy.atypia is not None
    windows = np.zeros((1, 64, 64, 3), np.uint8)
    assert len(copy.atypia.classify(windows)) == 1
    stop()
    with pytest.raises(Exception, match="terminate"):
        copy.atypia.classify(windows)


def test_results_with_it_and_without_it_are_not_mixed_up() -> None:
    detectors = [ClassifyingDots(), ClassifyingDots(atypia=RedDots(make_atypia_card(version="0.0.2"))), DotDetector()]
    keys = {models_key(list_released_cards(detector), detector.provider) for detector in detectors}
    assert len(keys) == len(detectors)
    assert models_key(list_released_cards(ClassifyingDots(atypia=None)), CPU[0]) in keys


def test_another_name_with_its_task_is_held_to_its_contract() -> None:
    assert MODEL_ROLES.find("mitotic-kinds", "classification").needs == ("atypical_threshold",)
