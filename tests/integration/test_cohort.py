"""A cohort on a Ray cluster of this machine's own: killed worker, killed driver, the same command again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest

from serving.core.words import RESEARCH_USE
from tests.quick_models import write_quick_models
from tests.ray_workers import find_workers
from tests.samples import noise, write_pyramid, write_truncated
from tests.services import until

pytestmark = pytest.mark.integration

GOOD = 16
RAY_AGENTS = ("ray::Dashboard", "ray::RuntimeEnv")
SIDE = 1500
"""Px; such a slide takes tenths of a second, so that there is time to kill in."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, good slides and bad ones, and a manifest of them."""
    root = tmp_path_factory.mktemp("cohort")
    write_quick_models(root / "models")
    slides = root / "slides"
    slides.mkdir()
    for number in range(GOOD):
        write_pyramid(slides / f"{number:02}.tif", noise(SIDE, SIDE, seed=number))
    write_truncated(slides / "cut.tif", slides / "00.tif")
    (slides / "text.svs").write_text("no slide")
    write_pyramid(slides / "unsaid.tif", noise(600, 600), mpp=None)
    lines = [
        "slide,id,case",
        *(f"slides/{path.name},{path.stem},{n % 3}" for n, path in enumerate(sorted(slides.iterdir()))),
    ]
    (root / "cohort.csv").write_text("\n".join([*lines, "slides/none.svs,none,1"]))
    return root


def start(ground: Path, out: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "serving.cli", "cohort", "score", str(ground / "cohort.csv"), "--out", str(out)]
    command += ["--models", str(ground / "models"), "--threads", "1", *more]
    environment = {**os.environ, "TMPDIR": str(ground), "HOME": str(ground)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def reports(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("reports/*.json.gz")}


@pytest.mark.timeout(900)
def test_a_cohort_goes_on_after_kills_and_every_good_slide_is_scored_once(ground: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken = start(ground, out)
    until(lambda: len(reports(out)) >= 2 or broken.poll() is not None)
    assert broken.poll() is None, broken.communicate()
    find_workers(broken.pid)[0].send_signal(signal.SIGKILL)
    until(lambda: len(reports(out)) >= 5 or broken.poll() is not None)
    # Ray's two agents try for a minute to tell the driver before they go.
    children = psutil.Process(broken.pid).children(recursive=True)
    left_behind = [process for process in children if not process.name().startswith(RAY_AGENTS)]
    assert len(children) - len(left_behind) <= len(RAY_AGENTS)
    broken.send_signal(signal.SIGKILL)
    assert broken.wait() == -signal.SIGKILL
    first = reports(out)
    assert 5 <= len(first) < GOOD
    said = subprocess.run(
        [sys.executable, "-m", "serving.cli", "cohort", "status", str(out)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 1
    assert f"left of {GOOD + 4}" in said.stdout

    again = start(ground, out, "--json")
    stdout, stderr = again.communicate()
    assert again.returncode == 1, stderr
    assert stdout, stderr
    summary = json.loads(stdout)
    assert summary["research_use"] == RESEARCH_USE
    assert (summary["slides"], summary["done"], summary["left"]) == (GOOD + 4, GOOD, 0)
    assert {f["slide"]: f["problem"] for f in summary["failures"]} == {
        "cut": "unreadable-slide",
        "none": "not-found",
        "text": "unsupported-format",
        "unsaid": "missing-mpp",
    }
    final = reports(out)
    # Those that the killed driver's workers were about to write may have come after it was looked at.
    assert len(final) == GOOD
    assert {name: final[name] for name in first} == first
    assert summary["kept"] >= len(first)

    slides = pyarrow.parquet.read_table(out / "tables" / "slides").to_pylist()
    assert sorted(row["slide"] for row in slides if row["state"] == "done") == [f"{n:02}" for n in range(GOOD)]
    assert sorted(row["slide"] for row in slides if row["state"] == "failed") == ["cut", "none", "text", "unsaid"]
    figures = pyarrow.parquet.read_table(out / "tables" / "detections")
    assert figures.num_rows == sum(row["mitotic_figures"] or 0 for row in slides) > 0

    _, alive = psutil.wait_procs(left_behind, timeout=600)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    assert not list(ground.glob("mitoserve-cohort-*"))
    assert not (ground / ".ray").exists()


def test_nothing_is_tried_with_a_manifest_that_cannot_be_used(ground: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("slide,mpp\na.svs,x\n")
    command = [sys.executable, "-m", "serving.cli", "cohort", "score", str(tmp_path / "bad.csv"), "--out", "out"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 2
    assert "line 2: mpp 'x' is no positive number" in ran.stderr
    assert not (tmp_path / "out").exists()
