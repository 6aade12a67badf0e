"""A role that somebody registers rules its cards, its contract and its place in a release; no other module knows of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.registry.version_check import VersionCheck, check_version
from serving.roles.atypia import AtypiaRole
from serving.roles.role import MODEL_ROLES, ModelRole, Tensors
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from tests.fakes import make_verifier_card
from tests.limits import LONGEST_S
from tests.quick_models import quick_light, restate, write_quick_model, write_quick_models

CPU = ["CPUExecutionProvider"]


class NecrosisRole(ModelRole):
    """How likely a window shows necrosis."""

    task = "verification"
    needs = ("merge_radius_um",)
    inputs: ClassVar[Tensors] = {"windows": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"necrosis": ("tensor(float)", 1)}
    tolerances: ClassVar[Mapping[str, float]] = {"necrosis": 0.01}

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`."""
        return {"necrosis": (pictures[0],)}


class FirstNecrosisRole(NecrosisRole):
    """The same, which no release goes without."""

    required = True
    rank = 0


class OtherVerifierRole(NecrosisRole):
    """A second model for a task of the cascade."""

    in_cascade = True


@pytest.fixture
def necrosis() -> Iterator[None]:
    MODEL_ROLES.add("necrosis", NecrosisRole)
    yield
    MODEL_ROLES.remove("necrosis")


def _card(**changed: Any) -> ModelCard:
    stated = {"name": "necrosis", "output": "necrosis", "detection_threshold": None, "candidate_probability": None}
    return ModelCard.model_validate(make_verifier_card().model_dump() | stated | {"merge_radius_um": 6.0} | changed)


def _check(folder: Path) -> VersionCheck:
    return check_version(folder, window_s=LONGEST_S, providers=CPU)


def test_its_card_holds_what_it_asks_for(necrosis: None) -> None:
    assert _card().merge_radius_um == 6.0
    with pytest.raises(ValueError, match="must state merge_radius_um"):
        _card(merge_radius_um=None)


def test_without_it_a_card_is_ruled_by_its_task() -> None:
    with pytest.raises(ValueError, match="must state detection_threshold, candidate_probability"):
        _card()


def test_a_model_is_checked_by_its_contract(necrosis: None, tmp_path: Path) -> None:
    good = write_quick_model(tmp_path, _card(), quick_light("necrosis"), window=64)
    assert _check(good).parity == {"necrosis": 0.0}
    other = write_quick_model(tmp_path, _card(version="0.0.2"), quick_light("probabilities"), window=64)
    with pytest.raises(ModelError, match="breaks the serving contract: outputs are"):
        _check(other)
    wrong = write_quick_model(tmp_path, _card(version="0.0.3"), quick_light("necrosis"), window=64)
    black = np.zeros((2, 64, 64, 3), np.uint8)
    np.savez_compressed(wrong / "parity.npz", input=black, necrosis=np.ones(2, np.float32))
    with pytest.raises(ModelError, match=r"fails parity here: necrosis are 1 .* 0\.01 is allowed"):
        _check(restate(wrong, _card(version="0.0.3")))


def test_the_cascade_passes_it_over(necrosis: None, tmp_path: Path) -> None:
    models = write_quick_models(tmp_path)
    folder = write_quick_model(models, _card(), quick_light("necrosis"), window=64)
    cascade = newest_release(models)
    assert list(cascade) == ["reg-ns", "det"]
    assert load_cascade({**cascade, "necrosis": folder}, providers=CPU).verification_card is None


def test_rank_and_need_are_those_of_the_role() -> None:
    MODEL_ROLES.add("necrosis", FirstNecrosisRole)
    try:
        assert list(MODEL_ROLES) == [
            "triage",
            "necrosis",
            "reg-ns",
            "det",
            "verifier",
            "points",
            "boxes",
            "ensemble",
            "atypia",
            "regions",
        ]
        assert MODEL_ROLES.required() == ("necrosis", "reg-ns", "det")
    finally:
        MODEL_ROLES.remove("necrosis")
    assert MODEL_ROLES.required() == ("reg-ns", "det")


def test_the_cascade_runs_one_model_for_a_task() -> None:
    with pytest.raises(ValueError, match="the cascade runs verifier for verification, and cannot run other too"):
        MODEL_ROLES.add("other", OtherVerifierRole)


class OtherAtypiaRole(AtypiaRole):
    """A second model beside detectors."""


def test_one_model_is_asked_beside_a_detector() -> None:
    with pytest.raises(
        ValueError, match="scoring asks atypia for classification beside a detector, and cannot ask other too"
    ):
        MODEL_ROLES.add("other", OtherAtypiaRole)


def test_a_name_that_no_version_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot name a model"):
        MODEL_ROLES.add("My Model", NecrosisRole)
