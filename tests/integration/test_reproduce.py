"""The whole study at its tiny scale, killed in the middle and gone on with."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.words import RESEARCH_USE
from training.paper.grid import read_sizes
from training.paper.outcome import read_outcome
from training.paper.reproduce import reproduce

pytestmark = pytest.mark.integration

KILLED_AFTER = 6
"""Trainings."""


def _start(out: Path, *, workers: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "training", "reproduce", "--scale", "tiny", f"--workers={workers}", "--out", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_study_goes_on_after_a_kill_and_writes_its_report(tmp_path: Path) -> None:
    broken = _start(tmp_path, workers=2)
    while len(list(tmp_path.glob("jobs/*/outcome.json"))) < KILLED_AFTER:
        assert broken.poll() is None, broken.communicate()[0]
        time.sleep(0.1)
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("jobs/*/outcome.json")}
    whole = _start(tmp_path, workers=1)  # each worker would import torch again
    said = whole.communicate()[0]
    assert whole.returncode == 0, said
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())
    trained = [path.parent for path in tmp_path.glob("jobs/*/outcome.json")]
    assert len(trained) == 56
    for folder in trained:
        assert {"model.pt", "recipe.json", "scores.npz"} <= {path.name for path in folder.iterdir()}
        outcome = read_outcome(folder)
        assert outcome is not None
        assert len(outcome.validation) > 0, "a threshold can be chosen on them later"
        assert np.isfinite(outcome.validation).all()
    assert "Naive aggregation costs more" in said
    _check_report(tmp_path)


def test_sizes_of_a_file_are_checked_against_the_data_before_the_first_training(tmp_path: Path) -> None:
    sizes = tmp_path / "sizes.toml"
    sizes.write_text('events = [2, 3, 4, 6, 5000, "all"]\nnegatives = [2, 3, 4, 6, 900000]\n')
    with pytest.raises(ValueError, match="ask for more than the data hold; give other --sizes") as refused:
        reproduce("tiny", tmp_path / "out", sizes=read_sizes(sizes), say=lambda _: None)
    assert "Det_5000: 5000 events asked for" in str(refused.value)
    assert "Reg-NS_all_900000neg: 900000 negative sub-tiles asked for" in str(refused.value)
    assert not (tmp_path / "out" / "jobs").exists()


def _check_report(out: Path) -> None:
    report = (out / "report.md").read_text()
    assert RESEARCH_USE in report
    for number in (*"23456789", "(4.2)", "of trends"):
        assert f"### Table {number}:" in report
    for rule in ("centre", "any"):
        for number in (*"456789", "4.2"):
            with (out / f"table-{number}-{rule}.csv").open(newline="") as handle:
                header, *rows = csv.reader(handle)
            assert rows
            assert {len(row) for row in rows} == {len(header)}
        with (out / f"verdicts-{rule}.csv").open(newline="") as handle:
            assert {row["verdict"] for row in csv.DictReader(handle)} <= {"holds", "does not hold", "undecided"}
    for name in ("figure-2", "figure-3"):
        assert (out / f"{name}.svg").stat().st_size > 5000
        assert Image.open(out / f"{name}.png").size[0] > 500
        assert f"({name}.png)" in report
