"""The role of a model, and the registry of all: each file of this package, and each plug-in, registers its own."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from serving.plugins import LAST, RankedRegistry

GROUP = "mitoserve.model_roles"
"""Entry point group of plug-ins: each names a module that adds its roles to `MODEL_ROLES` when it is imported."""
Task = Literal["screening", "detection", "verification", "triage", "classification", "segmentation", "fusion"]
Tensors = Mapping[str, tuple[str, int]]
"""Type, as ONNX Runtime names it, and number of axes, by name."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class ModelRole(ABC):
    """What a model of this name is for, what its card states and what its graph takes and gives."""

    task: ClassVar[Task]
    """What its cards state as task; a card of another task is not of this role."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Fields that its card must state though the schema allows to leave them out."""
    lacks: ClassVar[Mapping[str, str]] = {}
    """Fields that its card must not state, and why."""
    half_overlap: ClassVar[bool] = False
    """Whether it sees sub-tiles, which overlap by half."""
    side_by_side: ClassVar[bool] = False
    """Whether it sees a picture as cells that touch and do not overlap."""
    inputs: ClassVar[Tensors]
    outputs: ClassVar[Tensors]
    tolerances: ClassVar[Mapping[str, float]]
    """How far outputs may be from those of the sample that it ships with, by name; an output that is not named is not compared.

    Another kind of processor sums in another order and may round factors to 10 bits (TF32); a wrong graph or wrong weights are off
    by tenths. At 0.3 px the overlap of two boxes of 30 px is still .98.
    """
    any_side: ClassVar[bool] = False
    """Whether a picture may have other sides than the card's window."""
    required: ClassVar[bool] = False
    """Whether no release goes without it, or, of a role in the cascade, no cascade."""
    in_cascade: ClassVar[bool] = False
    """Whether the cascade runs it, as the model of its task. A model of another role is kept, checked and released beside it."""
    one_stage: ClassVar[bool] = False
    """Whether it finds figures in windows of the slide alone, without a cascade."""
    overlaps: ClassVar[bool] = False
    """Whether it is no detector and yet sees windows that overlap by what its card states."""
    beside: ClassVar[bool] = False
    """Whether scoring asks it, where it is released, beside a cascade or a one-stage detector: about what that found, or where it counts."""
    fuses: ClassVar[bool] = False
    """Whether it makes one probability of those of several detectors; a release with it may have several."""
    has_graph: ClassVar[bool] = True
    """Whether its versions hold a graph, with a sample; one without is all in its card."""
    rank: ClassVar[int] = LAST
    """Place in a release: the order in which models see a slide."""

    @abstractmethod
    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """The shapes that outputs must have.

        pictures : shape of the input, (N, H, W, 3); stride_px : of the card; found : outputs, by name
        """

    def count_windows(self, pictures: tuple[int, ...], stride_px: int) -> int:
        """Of how many windows the outputs are."""
        return pictures[0]


class ModelRoleRegistry(RankedRegistry[type[ModelRole]]):
    """Roles by the name of their models, in the order of their ranks."""

    def add(self, name: str, entry: type[ModelRole]) -> None:
        """Register a role.

        Raises
        ------
        ValueError
            If the name is taken or cannot be a model's, or another role is run for the same task, by the cascade or beside it.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a model: give small letters, such as reg-ns")
        for other, known in self.registered():
            if entry.in_cascade and known.in_cascade and entry.task == known.task:
                raise ValueError(f"the cascade runs {other} for {known.task}, and cannot run {name} too")
            if entry.beside and known.beside and entry.task == known.task:
                raise ValueError(f"scoring asks {other} for {known.task} beside a detector, and cannot ask {name} too")
            if entry.fuses and known.fuses:
                raise ValueError(f"{other} makes one of several detectors, and {name} cannot do so too")
        super().add(name, entry)

    def required(self) -> tuple[str, ...]:
        """What no release with a cascade goes without."""
        return tuple(name for name, role in self.items() if role.required)

    def missing(self, names: Collection[str]) -> tuple[str, ...]:
        """What these roles lack to be a release: a cascade, unless a one-stage detector is among them and none of a cascade."""
        whole = any(self[name].one_stage for name in names) and not any(self[name].in_cascade for name in names)
        needed = (name for name in self.required() if not (whole and self[name].in_cascade))
        return tuple(name for name in needed if name not in names)

    def rivals(self, names: Collection[str]) -> tuple[str, ...]:
        """The detectors among these roles, a cascade by its first model, where there is more than one and nothing fuses them."""
        if any(self[name].fuses for name in names):
            return ()
        found = [name for name in self if name in names]
        cascade = [name for name in found if self[name].in_cascade]
        first = [name for name in cascade if self[name].required] or cascade
        detectors = first[:1] + [name for name in found if self[name].one_stage]
        return tuple(detectors) if detectors[1:] else ()

    def choose(self, names: Collection[str]) -> tuple[str, ...]:
        """The release that these roles make by default: a cascade, or, where that is incomplete, the first one-stage detector.

        What is no detector is part of it, but for an ensemble, which names versions of its own.
        """
        cascade = [name for name in self if self[name].in_cascade]
        alone = [name for name in self if self[name].one_stage]
        names = [name for name in names if not self[name].fuses]
        whole = all(name in names for name in cascade if self[name].required)
        found = [name for name in alone if name in names]
        detector = cascade if whole or not found else found[:1]
        return tuple(name for name in self if name in names and (name in detector or name not in (*cascade, *alone)))

    def cascade(self) -> dict[Task, str]:
        """The name of the model that the cascade runs for each task, in the order in which they see a slide."""
        return {role.task: name for name, role in self.items() if role.in_cascade}

    def find(self, name: str, task: Task) -> ModelRole:
        """The role of a card's model; of a model whose name is not registered that of its task."""
        if name in self and self[name].task == task:
            return self[name]()
        beside = {role.task: other for other, role in self.items() if role.beside or role.fuses}
        return self[(beside | self.cascade())[task]]()


MODEL_ROLES = ModelRoleRegistry("model role", "serving.roles", GROUP)
