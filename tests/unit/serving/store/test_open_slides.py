import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from serving.core.errors import BusyError, UnreadableSlideError
from serving.isolation.budget import MemoryBudget
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import IsolatedSlide
from serving.store.open_slides import OpenSlides
from serving.store.slides import SlideStore
from tests.limits import LONGEST_S
from tests.samples import noise, write_pyramid


class FakeSlide:
    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


class FakeStore:
    """Counts what it opens; `bad` never opens."""

    def __init__(self) -> None:
        self.opened: list[FakeSlide] = []

    def open(self, sha256: str, *, name: str) -> FakeSlide:
        if sha256 == "bad":
            raise UnreadableSlideError(name)
        self.opened.append(FakeSlide(sha256))
        return self.opened[-1]


def make(kept: int = 2, idle_s: float = 60.0) -> tuple[FakeStore, OpenSlides]:
    store = FakeStore()
    return store, OpenSlides(cast(SlideStore, store), kept=kept, idle_s=idle_s)


def fake(slide: IsolatedSlide) -> FakeSlide:
    return cast(FakeSlide, slide)


def test_a_slide_is_opened_once_for_many_reads() -> None:
    store, slides = make()

    def read(_: int) -> str:
        with slides.using("a") as slide:
            assert not fake(slide).closed.is_set()
            return slide.sha256

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(64))) == {"a"}
    assert len(store.opened) == 1
    slides.close()
    assert store.opened[0].closed.is_set()


def test_the_longest_unused_is_closed_but_none_in_use() -> None:
    store, slides = make(kept=2)
    with slides.using("a") as first:
        for name in ("b", "c", "d"):
            with slides.using(name):
                pass
        assert not fake(first).closed.is_set()
    assert [s.sha256 for s in store.opened if not s.closed.is_set()] == ["a", "d"]
    slides.close()


def test_idle_slides_are_closed_by_themselves() -> None:
    store, slides = make(idle_s=0.05)
    with slides.using("a"):
        pass
    assert store.opened[0].closed.wait(LONGEST_S)
    with slides.using("a"):
        assert len(store.opened) == 2
    slides.close()


def test_a_slide_that_does_not_open_leaves_nothing() -> None:
    store, slides = make()
    for _ in range(2):
        with pytest.raises(UnreadableSlideError), slides.using("bad"):
            pass
    with slides.using("a"):
        pass
    assert [s.sha256 for s in store.opened] == ["a"]
    slides.close()


def test_one_that_is_read_while_all_are_closed_is_closed_after(tmp_path: Path) -> None:
    _, slides = make()
    with slides.using("a") as slide:
        slides.close()
        assert not fake(slide).closed.is_set()
    assert fake(slide).closed.is_set()
    with pytest.raises(ValueError, match="not opened any more"), slides.using("b"):
        pass


def test_unused_slides_are_closed_where_memory_is_short(tmp_path: Path, store: SlideStore) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(300, 300))
    budget = MemoryBudget(2**29, wait_s=0)
    decoders = Decoders(DecoderLimits(), budget=budget)
    slides = OpenSlides(SlideStore(store.database, store.settings, decoders))
    budget.when_short(slides.close_unused)
    (tmp_path / "one").mkdir()
    path.rename(tmp_path / "one" / "a.tif")
    stored = slides._store.add(tmp_path / "one", "a.tif", owner="o", name="a.tif")
    with slides.using(stored.sha256), pytest.raises(BusyError):
        budget.reserve(1)
    budget.reserve(1).release()
    slides.close()
    decoders.close()
