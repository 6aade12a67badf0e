"""Tiles are computed at once and handed out in order, no more of them than was said, and an error stops the rest."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.scoring.tile_chunks import map_in_turn


class Patch:
    """Something whose end can be seen."""

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.mark.parametrize("most", [1, 2, 5])
def test_results_come_in_order_and_no_more_are_taken_than_are_computed(most: int) -> None:
    lock, taken, ended, ahead = threading.Lock(), 0, 0, 0

    def patches() -> Iterator[int]:
        nonlocal taken, ahead
        for number in range(20):
            with lock:
                taken += 1
                ahead = max(ahead, taken - ended)
            yield number

    def compute(number: int) -> int:
        nonlocal ended
        time.sleep(0.001 * (number % 3))
        with lock:
            ended += 1
        return number * number

    with ThreadPoolExecutor(most) as pool:
        assert list(map_in_turn(pool, compute, patches(), most)) == [n * n for n in range(20)]
    assert ahead <= most


def test_a_patch_does_not_outlive_its_computation() -> None:
    held: list[weakref.ref[Patch]] = []

    def patches() -> Iterator[Patch]:
        for number in range(6):
            patch = Patch(number)
            held.append(weakref.ref(patch))
            yield patch
            del patch

    alive = []
    with ThreadPoolExecutor(2) as pool:
        for _ in map_in_turn(pool, lambda patch: patch.number, patches(), 2):
            gc.collect()
            alive.append(sum(one() is not None for one in held))
    assert max(alive) <= 3


def test_an_error_comes_in_its_turn_and_what_waits_is_not_begun() -> None:
    begun: list[int] = []

    def compute(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise RuntimeError("no pixels")
        return number

    found = []
    with ThreadPoolExecutor(1) as pool:
        turns = map_in_turn(pool, compute, iter(range(100)), 3)
        with pytest.raises(RuntimeError, match="no pixels"):
            found += list(turns)
    assert found == []
    assert max(begun) <= 5
