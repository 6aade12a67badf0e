"""Decoders share a bounded memory, however many they are and in whichever process."""

import contextlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from PIL import Image

from serving.core.errors import BusyError, MitoserveError, SlideTooLargeError
from serving.core.geometry import Region
from serving.isolation.budget import UNIT, MemoryBudget, Reservation, machine_memory
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import IsolatedSlide, open_isolated
from tests.examples import draw_examples
from tests.limits import LONGEST_S
from tests.samples import noise, write_forged_tile, write_pyramid

MIB = 2**20


@draw_examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(total=1, steps=[("take", 1), ("take", 0)])  # whoever asks for nothing gets a unit, or waits like all
@given(
    total=st.integers(1, 10),
    steps=st.lists(st.tuples(st.sampled_from(["take", "give"]), st.integers(0, 12)), max_size=30),
)
def test_never_more_is_reserved_than_there_is_and_all_of_it_can_be(
    tmp_path: Path, total: int, steps: list[tuple[str, int]]
) -> None:
    """Against a model that adds up; two objects on one file are as two processes."""
    file = tmp_path / "lock"
    budgets = [MemoryBudget(total * UNIT, file, wait_s=0) for _ in range(2)]
    held: list[tuple[int, Reservation]] = []
    for turn, (step, number) in enumerate(steps):
        if step == "give" and held:
            held.pop(number % len(held))[1].release()
        elif step == "take":
            units, free = min(max(number, 1), total), total - sum(size for size, _ in held)
            if units <= free:
                held.append((units, budgets[turn % 2].reserve(number * UNIT)))
            else:
                with pytest.raises(BusyError, match="MITOSIS_DECODERS_MEMORY_BYTES"):
                    budgets[turn % 2].reserve(number * UNIT)
    for _, reservation in held:
        reservation.release()
        reservation.release()
    budgets[0].reserve(total * UNIT).release()


def test_a_server_with_less_memory_does_not_wait_for_one_with_more(tmp_path: Path) -> None:
    """They share the file, and so what both may have."""
    more, less = (MemoryBudget(total * UNIT, tmp_path / "lock", wait_s=0) for total in (4, 1))
    held = more.reserve(4 * UNIT)
    with pytest.raises(BusyError):
        less.reserve(UNIT)
    held.release()
    less.reserve(UNIT).release()


def test_what_a_process_had_is_free_when_it_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from serving.isolation.budget import MemoryBudget
held = MemoryBudget({UNIT}, Path({str(tmp_path / "lock")!r})).reserve(1)
print("held", flush=True)
sys.stdin.read()
"""
    budget = MemoryBudget(UNIT, tmp_path / "lock", wait_s=0)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BusyError):
            budget.reserve(1)
        other.kill()
    budget.reserve(1).release()


def test_who_waits_gets_what_is_given_back() -> None:
    budget = MemoryBudget(2 * UNIT)
    first = budget.reserve(2 * UNIT)
    called = threading.Event()
    budget.when_short(called.set)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(budget.reserve, UNIT)
        assert called.wait(LONGEST_S)
        first.release()
        coming.result(LONGEST_S).release()


def test_the_machine_has_memory_and_a_cgroup_may_have_less(tmp_path: Path) -> None:
    assert 2**27 < machine_memory() <= 2**50


def test_many_slides_at_once_never_have_more_processes_than_fit(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(300, 300))
    budget = MemoryBudget(3 * 512 * MIB)
    decoders = Decoders(DecoderLimits(), budget=budget)
    most, now, lock = 0, 0, threading.Lock()

    def look(_: int) -> None:
        nonlocal most, now
        with open_isolated(decoders, path, name="a.tif") as slide:
            with lock:
                now += 1
                most = max(most, now)
            assert slide.read(Region(0, 0, 300, 300), 300, 300).shape == (300, 300, 3)
            with lock:
                now -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(16)))
    assert 1 <= most <= 3
    budget.reserve(budget.total).release()
    decoders.close()


def test_a_picture_takes_little_more_memory_than_its_pixels(tmp_path: Path) -> None:
    """8,000 x 8,000 px of one bit: 64 MB as Pillow decodes them and 192 MB as RGB, beside what a process has anyway."""
    path = tmp_path / "a.png"
    Image.new("1", (8_000, 8_000), 1).save(path)
    assert path.stat().st_size < 30_000
    decoders = Decoders(DecoderLimits(), budget=MemoryBudget(512 * MIB))
    with open_isolated(decoders, path, name="a.png") as slide:
        assert slide.width == 8_000
        assert peak_bytes(slide) < 400 * MIB
    decoders.close()


def peak_bytes(slide: IsolatedSlide) -> int:
    assert slide._current is not None
    status = Path(f"/proc/{slide._current[0].pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_a_slide_that_needs_more_than_it_has_at_first_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (6_000, 6_000), 200).save(path)
    decoders = Decoders(DecoderLimits(opening_bytes=150 * MIB), budget=MemoryBudget(2048 * MIB))
    with open_isolated(decoders, path, name="large.png") as slide:
        assert slide.read(Region(0, 0, 10, 10), 10, 10).max() == 200
    decoders.close()


def write_large(path: Path, side: int) -> Path:
    """A picture of one bit and one colour, which has a few KB and many px."""
    Image.new("1", (side, side), 1).save(path)
    return path


def test_large_pictures_at_once_reserve_what_they_need_and_no_more(tmp_path: Path) -> None:
    """Four that need 319 MiB each, and so five units, where there is room for four and one may have all of it."""
    path = write_large(tmp_path / "1.png", 4_000)
    budget = MemoryBudget(4 * 5 * UNIT, wait_s=0)
    decoders = Decoders(DecoderLimits(memory_bytes=budget.total, opening_bytes=2 * UNIT), budget=budget)
    with contextlib.ExitStack() as opened, ThreadPoolExecutor(4) as pool:
        for slide in pool.map(lambda _: open_isolated(decoders, path, name="1.png"), range(4)):
            opened.enter_context(slide)
        with pytest.raises(BusyError):
            budget.reserve(1)
    budget.reserve(budget.total).release()
    decoders.close()


def test_a_picture_that_never_fits_is_too_large_and_not_busy(tmp_path: Path) -> None:
    path = write_large(tmp_path / "1.png", 8_000)
    decoders = Decoders(DecoderLimits(opening_bytes=2 * UNIT), budget=MemoryBudget(5 * UNIT, wait_s=0))
    with pytest.raises(SlideTooLargeError, match="MITOSIS_DECODERS_MEMORY_BYTES"):
        open_isolated(decoders, path, name="1.png")
    decoders.close()


@pytest.mark.parametrize("memory", [200, 400])
def test_what_fails_gives_its_memory_back(tmp_path: Path, memory: int) -> None:
    path = write_forged_tile(tmp_path / "forged.tif", noise(256, 256), tile=8192)
    (tmp_path / "text.svs").write_text("text")
    budget = MemoryBudget(memory * MIB)
    decoders = Decoders(DecoderLimits(memory_bytes=memory * MIB), budget=budget)
    for file in (path, tmp_path / "text.svs", tmp_path / "absent.svs"):
        with pytest.raises(MitoserveError):
            open_isolated(decoders, file, name=file.name)
    budget.reserve(budget.total).release()
    decoders.close()
