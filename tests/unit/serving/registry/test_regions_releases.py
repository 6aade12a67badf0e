"""A regions model is part of a release like the others: adopted, checked, promoted beside a detector, judged, gone back from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from serving.adoption.adopting import write_version
from serving.adoption.contract import AdoptionContract, read_contract
from serving.adoption.graphs import wrap_network
from serving.cli.adopt import adopt
from serving.core.errors import ModelError, RequestError
from serving.core.modelcard import ModelCard, load_card
from serving.jobs.job import models_key
from serving.registry.registry import ModelRegistry
from serving.registry.version import RegistryError
from serving.registry.version_check import check_version
from serving.registry.warming import warm_up
from serving.roles.role import MODEL_ROLES
from serving.scoring.detector import find_segmenter, list_cards, list_released_cards
from serving.scoring.int8 import INT8
from serving.scoring.loading import load_detector
from serving.scoring.models import newest_release
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import make_regions_card
from tests.limits import LONGEST_S
from tests.miniatures.atypia import write_atypia_model
from tests.miniatures.cards import make_points_card, write_miniature
from tests.miniatures.regions import draw_two_kinds, state_regions, write_network, write_regions_model
from tests.quick_models import restate, write_quick_models
from tests.unit.serving.adoption.foreign import THRESHOLD, write_contract

CPU = ["CPUExecutionProvider"]
SQUARE = [(100, 100), (900, 100), (900, 650), (100, 650)]


def test_the_command_makes_a_version_of_a_network_and_its_contract(tmp_path: Path) -> None:
    source = write_network(tmp_path / "theirs.onnx")
    contract = write_contract(tmp_path / "contract.yaml", state_regions())
    arguments = [str(source), "--contract", str(contract), "--out", str(tmp_path / "models")]
    result = CliRunner().invoke(adopt, arguments)
    assert result.exit_code == 0, result.output
    card = load_card(tmp_path / "models/regions/1.0.0")
    assert (card.task, card.parameters, card.input.overlap_px) == ("segmentation", 12, 64)
    assert [one.use for one in card.tissue_classes or []] == ["within", "exclude", "shown"]
    assert card.least_part_mm2 == 0.002
    found = check_version(tmp_path / "models/regions/1.0.0", window_s=LONGEST_S, providers=CPU)
    assert (found.name, found.parity) == ("regions", {"probabilities": 0.0})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"role": "points"}, "role is points, and output.form classes is of regions"),
        ({"threshold": THRESHOLD}, "a regions model states tissue_classes"),
        ({"tissue_classes": None}, "must state tissue_classes"),
        ({"output": {"form": "map", "activation": "sigmoid"}}, "role is regions, and output.form map is of points"),
        ({"tissue_classes": [{"name": "Tumor", "use": "counted"}] * 2}, "tissue_classes.0.use"),
    ],
)
def test_a_contract_that_is_none_of_regions_is_refused(changed: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=why):
        read_contract(write_contract(tmp_path / "contract.yaml", state_regions(**changed)))


def test_a_detector_states_no_classes_and_a_threshold(tmp_path: Path) -> None:
    stated = state_regions(output={"form": "map", "activation": "sigmoid"}, role="points")
    with pytest.raises(RequestError, match="a detector must state threshold and least_probability"):
        read_contract(write_contract(tmp_path / "contract.yaml", stated))
    stated |= {"threshold": THRESHOLD, "least_probability": 0.2}
    with pytest.raises(RequestError, match="are of regions"):
        read_contract(write_contract(tmp_path / "contract.yaml", stated))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"tissue_classes": state_regions()["tissue_classes"][:2]}, "3 planes, and the contract states 2"),
        (
            {"output": {"form": "classes", "activation": "softmax", "layout": "nhwc"}},
            "gives probabilities of shape",
        ),
        ({"output": {"form": "classes", "activation": "none", "tensor": "shares"}}, "names the tensor shares"),
    ],
)
def test_a_contract_that_does_not_fit_the_graph_is_refused(changed: dict[str, Any], why: str, tmp_path: Path) -> None:
    source = write_network(tmp_path / "theirs.onnx")
    contract = AdoptionContract.model_validate(state_regions(**changed))
    with pytest.raises(ModelError, match=why):
        write_version(wrap_network(source, contract), contract, tmp_path / "new", weights="theirs", parameters=12)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"tissue_classes": None}, "must state tissue_classes"),
        ({"tissue_classes": [{"name": "A", "use": "within"}, {"name": "A", "use": "shown"}]}, "have one name"),
        ({"tissue_classes": [{"name": "A", "use": "shown"}, {"name": "B", "use": "shown"}]}, "none of tissue_classes"),
        ({"merge_radius_um": 6.0}, "a regions model finds no figures"),
        (
            {"input": make_regions_card().input.model_copy(update={"overlap_px": None})},
            "regions model must state overlap",
        ),
    ],
)
def test_a_card_holds_what_the_role_asks_for(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make_regions_card(**changed)
    with pytest.raises(ValueError, match="are a regions model's"):
        ModelCard.model_validate(make_points_card().model_dump() | {"least_part_mm2": 0.1})


def test_a_version_is_checked_by_its_sample(tmp_path: Path) -> None:
    folder = write_regions_model(tmp_path)
    with np.load(folder / "parity.npz") as kept:
        sample = dict(kept)
    np.savez_compressed(folder / "parity.npz", **sample | {"probabilities": 1 - sample["probabilities"]})
    with pytest.raises(ModelError, match=r"model regions 1\.0\.0 fails parity here"):
        check_version(
            restate(folder, load_card(write_regions_model(tmp_path / "other"))), window_s=LONGEST_S, providers=CPU
        )


def test_a_folder_serves_it_beside_what_finds_figures(tmp_path: Path) -> None:
    write_regions_model(tmp_path)
    with pytest.raises(ModelError, match="no model 'reg-ns'"):
        newest_release(tmp_path)
    write_miniature(tmp_path, make_points_card())
    write_atypia_model(tmp_path)
    assert list(newest_release(tmp_path)) == ["points", "atypia", "regions"]
    write_quick_models(tmp_path)
    detector = load_detector(tmp_path, providers=CPU)
    assert [card.name for card in list_cards(detector)] == ["reg-ns", "det"]
    assert [card.name for card in list_released_cards(detector)] == ["reg-ns", "det", "atypia", "regions"]
    warm_up(detector)


def test_it_is_added_promoted_shadowed_and_gone_back_from(registry: ModelRegistry, tmp_path: Path) -> None:
    before = registry.serving()
    registry.add(write_regions_model(tmp_path / "new"))
    assert registry.serving() == before, "nothing that is added changes what serves"
    with pytest.raises(RegistryError, match="needs reg-ns and det too"):
        registry.cascade(["regions@1.0.0"])
    together = registry.complete(["regions@1.0.0"])
    assert [model.name for model in together] == ["reg-ns", "det", "regions"]
    registry.promote([model.label for model in together], "ann")
    detector = registry.load(registry.serving())
    assert find_segmenter(detector) is not None
    made = registry.shadow(["reg-ns@0.0.1", "det@0.0.1"], 0.5, "ann")
    assert [model.name for model in made.models] == ["reg-ns", "det"]
    registry.shadows.stop(made.number)
    registry.rollback("ann")
    without = registry.load(registry.serving())
    assert find_segmenter(without) is None
    keys = {models_key(list_released_cards(one), one.provider) for one in (detector, without)}
    assert len(keys) == 2, "results with it and without it are not mixed up"


def test_it_runs_where_models_run_in_eight_bits_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_miniature(tmp_path / "models", make_points_card())
    write_regions_model(tmp_path / "models")
    pixels, middles, inside = draw_two_kinds(52, 1024, 768, SQUARE)
    exact, rounded = (
        score_slide(ArraySlide(pixels, mpp=0.25), load_detector(tmp_path / "models", providers=[name])).report
        for name in (CPU[0], INT8)
    )
    assert exact.regions is not None
    assert rounded.regions is not None
    for one, other in zip(exact.regions.classes, rounded.regions.classes, strict=True):
        assert one.area_mm2 == pytest.approx(other.area_mm2, abs=0.002)
    assert abs(exact.counts.mitotic_figures - inside.sum()) <= 2 < len(middles) - inside.sum()
    copy, stop = load_detector(tmp_path / "models", providers=CPU).stoppable()
    assert copy.regions is not None
    windows = np.zeros((1, 256, 256, 3), np.uint8)
    assert copy.regions.segment(windows).shape == (1, 3, 16, 16)
    stop()
    with pytest.raises(Exception, match="terminate"):
        copy.regions.segment(windows)


def test_a_model_that_gives_other_planes_than_its_card_states_is_refused(tmp_path: Path) -> None:
    write_miniature(tmp_path, make_points_card())
    folder = write_regions_model(tmp_path)
    card = load_card(folder)
    restate(folder, card.model_copy(update={"tissue_classes": (card.tissue_classes or [])[:2]}))
    segmenter = find_segmenter(load_detector(tmp_path, providers=CPU))
    assert segmenter is not None
    with pytest.raises(ModelError, match="gave 3 planes, and its card states 2"):
        segmenter.segment(np.zeros((1, 256, 256, 3), np.uint8))


def test_another_name_with_its_task_is_held_to_its_contract() -> None:
    assert MODEL_ROLES.find("tumour-map", "segmentation").needs == ("tissue_classes",)
