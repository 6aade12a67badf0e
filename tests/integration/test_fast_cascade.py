"""A light net that sees dark round places finds the generator's figures, end to end, and Reg-NS and Det look at little else."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from serving.cli import main
from serving.core.report import Report
from serving.scoring.loading import load_detector
from serving.synthetic.slide import generate_slide
from tests.fakes import make_cards, make_triage_card
from tests.quick_models import darkest_place, quick_screening, quick_triage, write_quick_model
from tests.services import bring, serving, submit, wait_for_end

pytestmark = pytest.mark.integration
CPU = ["CPUExecutionProvider"]
REACH_PX = 30.0


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything passes Reg-NS, and Det boxes the darkest place of a sub-tile."""
    root = tmp_path_factory.mktemp("models")
    graphs = (quick_screening(60.0), darkest_place())
    for card, graph in zip(make_cards(screening=0.0, detection=0.3), graphs, strict=True):
        write_quick_model(root, card, graph)
    write_quick_model(root, make_triage_card(threshold=0.5), quick_triage())
    return root


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "generated.tif"
    generate_slide(path, seed=4, width=2000, height=2000, tissue_fraction=1.0, mitoses_per_mm2=40.0)
    return path


def _score_here(slide: Path, out: Path, mode: str) -> Result:
    return CliRunner().invoke(main, ["score", str(slide), "--out", str(out), "--cascade", mode])


def _report(out: Path) -> Report:
    return Report.model_validate_json((out / "report.json").read_bytes())


def _figures(slide: Path) -> NDArray[np.float64]:
    """Centres of the figures that were drawn, (N, 2), level-0 px."""
    boxes = np.asarray(json.loads(slide.with_suffix(".truth.json").read_text())["mitotic_figures"], np.float64)
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2)


def _found(report: Report, figures: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the figures have a detection."""
    centres = np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in report.detections])
    return np.asarray(np.abs(figures[:, None] - centres).max(2).min(1) < REACH_PX)


def test_the_command_line_finds_what_an_exact_analysis_finds_and_looks_at_a_tenth(
    slide: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOSIS_MODELS", str(models))
    for mode in ("exact", "fast"):
        result = _score_here(slide, tmp_path / mode, mode)
        assert result.exit_code == 0, result.output
    exact, fast = _report(tmp_path / "exact"), _report(tmp_path / "fast")
    figures = _figures(slide)
    # Two figures in each other's sub-tiles are one to a Det that boxes the darkest place of each.
    assert _found(exact, figures).sum() >= len(figures) - 1 >= 8
    assert _found(fast, figures)[_found(exact, figures)].all()
    assert exact.tissue.sub_tiles_screened == exact.tissue.sub_tiles == fast.tissue.sub_tiles
    assert fast.tissue.sub_tiles_screened is not None
    assert len(figures) <= fast.tissue.sub_tiles_screened <= len(exact.tiles) * 64 / 10
    assert [model.name for model in fast.models] == ["triage", "reg-ns", "det"]


def test_the_server_gives_what_the_command_line_gives(
    slide: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOSIS_MODELS", str(models))
    assert _score_here(slide, tmp_path / "here", "fast").exit_code == 0
    with serving(tmp_path / "state", lambda: load_detector(models, providers=CPU)) as client:
        brought = bring(client, slide.read_bytes(), slide.name)
        done = wait_for_end(client, submit(client, brought, options={"cascade": "fast"})["id"])
        there = Report.model_validate(client.get(done["links"]["report"]).json())
        frame = client.get(f"{done['links']['self']}/map").json()
        scores, light = (np.frombuffer(client.get(frame[name]).content, "<f4") for name in ("scores", "triage"))
    here = _report(tmp_path / "here")
    varying = {"timing", "software"}
    assert there.model_dump(exclude=varying) == here.model_dump(exclude=varying)
    assert np.isfinite(scores).sum() == there.tissue.sub_tiles_screened
    assert not (np.isfinite(scores) & np.isfinite(light)).any()
    assert (np.isfinite(scores) | np.isfinite(light)).sum() == there.tissue.sub_tiles


def test_without_a_light_net_the_command_line_says_what_to_do(
    slide: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for name in ("reg-ns", "det"):
        (plain / name).symlink_to(models / name)
    monkeypatch.setenv("MITOSIS_MODELS", str(plain))
    result = _score_here(slide, tmp_path / "out", "fast")
    assert result.exit_code == 2
    assert "needs a triage model" in result.output
