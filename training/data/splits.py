"""Training, validation and test by patient, asserted: no patient is on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data.store import Picture


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures by use."""

    train: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    test: tuple[Picture, ...]

    def __post_init__(self) -> None:
        parts = {name: {p.patient for p in getattr(self, name)} for name in ("train", "validation", "test")}
        for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
            if both := parts[a] & parts[b]:
                raise ValueError(f"patients {sorted(both)[:5]} are in {a} and in {b}")


def split_by_patient(
    pictures: Sequence[Picture], *, validation: float, test: float, seed: int, test_patients: Sequence[str] = ()
) -> Split:
    """Patients dealt out by seed, so that no part gets two pictures of one patient's.

    validation, test : share of the patients, at least one each where above 0
    test_patients : these make the test part, instead of a share

    Raises
    ------
    ValueError
        If a part stays empty that should not, or a test patient does not exist.
    """
    patients = sorted({p.patient for p in pictures})
    if unknown := set(test_patients) - set(patients):
        raise ValueError(f"no pictures of patients {sorted(unknown)}")
    order = [str(p) for p in np.random.default_rng([seed, 4]).permutation(patients) if p not in test_patients]
    held = list(test_patients) or _take(order, test, len(patients))
    chosen = _take(order, validation, len(patients))
    if not order:
        raise ValueError(f"{len(patients)} patients are too few for these shares: none is left to train on")
    of = {**dict.fromkeys(held, "test"), **dict.fromkeys(chosen, "validation")}
    return Split(
        *(tuple(p for p in pictures if of.get(p.patient, "train") == part) for part in ("train", "validation", "test"))
    )


def _take(order: list[str], share: float, total: int) -> list[str]:
    """Remove a share of the patients, counted over all of them, from `order`, and return them."""
    number = max(1, round(share * total)) if share > 0 else 0
    taken, order[:] = order[:number], order[number:]
    return taken
