"""A training run as one TOML file."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Everything that determines a run, beside the data."""

    seed: int
    windows: int
    """Windows drawn in all; there are no epochs, since every draw differs."""
    batch: int
    trunk_lr: float
    head_lr: float
    weight_decay: float
    warmup: float
    """Share of the steps in which the learning rate rises; it falls to zero on a cosine after."""
    frozen_stages: int
    """Stages of the trunk, after the stem, that keep their initial weights."""
    averaging: float
    """Decay per step of the running average of the weights that is the result; 0 for the last weights."""
    mix: dict[str, float]
    """Weight of each source of windows: collage, event, background, composite, synthetic."""


def read_config(path: Path, kind: type[T]) -> T:
    """The run that a TOML file states, as a dataclass of some kind.

    Raises
    ------
    ValueError
        If a key is missing or unknown; the message names file and keys.
    """
    values = tomllib.loads(path.read_text())
    known = {f.name for f in fields(kind)}
    if set(values) != known:
        raise ValueError(f"{path}: missing {sorted(known - set(values))}, unknown {sorted(set(values) - known)}")
    return kind(**values)
