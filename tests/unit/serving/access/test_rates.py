import pytest

from serving.access import authenticator
from serving.access.authenticator import Buckets


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_and_fills_again() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    assert [buckets.take("a", per_minute=3) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", per_minute=3) == pytest.approx(20)
    clock.now += 19
    assert buckets.take("a", per_minute=3) == pytest.approx(1)
    clock.now += 1.001
    assert buckets.take("a", per_minute=3) == 0
    assert buckets.take("a", per_minute=3) > 0


def test_a_bucket_never_holds_more_than_a_minute() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    buckets.take("a", per_minute=2)
    clock.now += 1e6
    assert [buckets.take("a", per_minute=2) > 0 for _ in range(3)] == [False, False, True]


def test_callers_do_not_share() -> None:
    buckets = Buckets(Clock())
    assert buckets.take("a", per_minute=1) == 0
    assert buckets.take("a", per_minute=1) > 0
    assert buckets.take("b", per_minute=1) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "MAX_BUCKETS", 10)
    buckets = Buckets(Clock())
    for number in range(1000):
        buckets.take(str(number), per_minute=1)
    assert len(buckets._buckets) == 10
    assert buckets.take("999", per_minute=1) > 0
