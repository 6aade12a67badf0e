"""Attacks: what each module has, what a bounded run counts, and the tools that attacks share."""

import importlib
import inspect
import os
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from benchmarks.attack.__main__ import main
from benchmarks.attack.environment import AttackEnvironment, AttackTally, flip_bit, packed_folder
from benchmarks.attack.runner import names, run
from benchmarks.footprint import family, family_processor_s, memory_bytes
from benchmarks.wrong_clock import WrongClock


@pytest.mark.parametrize("name", names())
def test_each_attack_has_a_title_and_says_what_must_hold(name: str) -> None:
    module = importlib.import_module(f"benchmarks.attack.{name}")
    assert str(module.__doc__).splitlines()[0].endswith(".")
    assert list(inspect.signature(module.attack).parameters) == ["environment", "tally"]
    assert module.attack.__doc__


def test_an_attack_that_does_not_end_has_lost(tmp_path: Path) -> None:
    tally = run("wrong_database", tmp_path, tmp_path, 0.01)
    assert (tally.tries, tally.survived, tally.lost) == (1, 0, ["it did not end in 0.01 s"])


def test_what_there_was_no_time_for_has_lost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quotas", "--minutes", "0"]) == 1
    assert "no time for it" in capsys.readouterr().out


def test_a_name_that_no_attack_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "there are" in capsys.readouterr().err


def test_a_tally_counts_what_survived_and_says_what_was_lost() -> None:
    tally = AttackTally()
    for number in range(3):
        tally.judge(number != 1, f"try {number}")
    assert (tally.tries, tally.survived, tally.lost) == (3, 2, ["try 1"])


def test_one_bit_is_changed_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(10))
    inode = path.stat().st_ino
    flip_bit(path, 80 + 13)  # counted round
    assert path.read_bytes() == bytes([0, 1 << 5, *bytes(8)])
    flip_bit(path, 13)
    assert path.read_bytes() == bytes(10)
    assert path.stat().st_ino == inode


def test_a_folder_is_packed_with_the_names_below_it(tmp_path: Path) -> None:
    (tmp_path / "slide").mkdir()
    (tmp_path / "slide" / "1.dcm").write_bytes(b"1")
    (tmp_path / "other").write_bytes(b"2")
    with zipfile.ZipFile(BytesIO(packed_folder(tmp_path, "slide"))) as archive:
        assert archive.namelist() == ["slide/1.dcm"]
    with zipfile.ZipFile(BytesIO(packed_folder(tmp_path))) as archive:
        assert sorted(archive.namelist()) == ["other", "slide/1.dcm"]


def test_children_read_the_wrong_clock_and_can_be_put_right(tmp_path: Path) -> None:
    clock = WrongClock(tmp_path)

    def ahead() -> float:
        with clock.read_by_children():
            said = subprocess.run(
                [sys.executable, "-c", "import time; print(time.time())"], capture_output=True, check=True
            )
        return float(said.stdout) - time.time()

    clock.set(40 * 86_400)
    assert ahead() == pytest.approx(40 * 86_400, abs=60)
    clock.set(0)
    assert ahead() == pytest.approx(0, abs=60)


def test_a_footprint_counts_what_is_below() -> None:
    source = "import sys; held = b'x' * 2**26; sum(range(10**6)); print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        parent = os.getpid()
        assert child.pid in family(parent)
        assert 2**26 < memory_bytes(child.pid) < memory_bytes(parent)
        assert 0 < family_processor_s(child.pid) <= family_processor_s(parent)
    finally:
        child.communicate()
    assert memory_bytes(child.pid) == 0


def test_a_ground_makes_pictures_that_differ(tmp_path: Path) -> None:
    ground = AttackEnvironment(tmp_path, tmp_path)
    assert ground.picture(1) == ground.picture(1) != ground.picture(2)
