"""Cases of the crops that are kept out of training."""

from pathlib import Path

import numpy as np
import pytest

from training.data import crops
from training.data.crops import CropBank, crops_held_out, crops_to_learn


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> CropBank:
    """Three crops of each of 200 cases, and some of a case that is not known."""
    cases = np.asarray([f"tupac16/{i // 3}" for i in range(600)] + ["atnorm-md"] * 50)
    bank = CropBank(np.zeros((650, 128, 128, 3), np.uint8), cases)
    monkeypatch.setattr(crops, "read_crops", lambda root: bank)
    return bank


def test_no_case_is_learnt_and_held_out(bank: CropBank) -> None:
    learnt, kept = crops_to_learn(Path(), 0.2), crops_held_out(Path(), 0.2)
    assert not {*learnt.cases} & {*kept.cases}
    assert len(learnt) + len(kept) == 600
    assert 0.1 < len(kept) / 600 < 0.3


def test_a_larger_share_holds_out_more_of_the_same(bank: CropBank) -> None:
    few, many = crops_held_out(Path(), 0.1), crops_held_out(Path(), 0.3)
    assert {*few.cases} < {*many.cases}


def test_without_a_share_everything_is_learnt(bank: CropBank) -> None:
    assert len(crops_to_learn(Path(), 0.0)) == len(bank)
    assert not len(crops_held_out(Path(), 0.0))
