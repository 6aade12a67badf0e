"""From models on disk to counts of atypical figures: over HTTP and on the command line, on tissue whose figures are known."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from serving.cli import main
from serving.core.report import Report
from serving.scoring.loading import load_detector
from serving.scoring.matching import match_centres
from serving.scoring.reviewed import find_centres
from tests.miniatures.atypia import draw_figures, write_atypia_model
from tests.miniatures.cards import make_points_card, write_miniature
from tests.services import bring, serving, submit, wait_for_end

pytestmark = pytest.mark.integration
CPU = ["CPUExecutionProvider"]
REACH_PX = 30.0
Drawn = tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.bool_]]


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw_figures(51, 1801, 1353)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_miniature(root, make_points_card())
    write_atypia_model(root)
    return root


def _balanced_accuracy(report: Report, drawn: Drawn) -> float:
    """Of what the report says of the figures that it found."""
    _, middles, pale = drawn
    pairs = match_centres(find_centres(report.detections), middles, REACH_PX)
    said = np.asarray([(report.detections[i].atypical_probability or 0.0) >= 0.5 for i, _ in pairs])
    true = np.asarray([pale[j] for _, j in pairs])
    assert min(true.sum(), (~true).sum()) >= 5
    return float((said[true].mean() + (~said[~true]).mean()) / 2)


def test_atypical_figures_are_told_apart_over_http(models: Path, drawn: Drawn, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(drawn[0]).save(buffer, "PNG")
    with serving(tmp_path / "state", lambda: load_detector(models, providers=CPU)) as client:
        done = wait_for_end(client, submit(client, bring(client, buffer.getvalue()))["id"])
        assert done["state"] == "succeeded", done
        stated = client.get(done["links"]["report"]).json()
        report = Report.model_validate(stated)
        assert _balanced_accuracy(report, drawn) >= 0.8
        assert report.counts.atypical is not None
        assert stated["atypia"]["thresholds"] == {"atypical": 0.5}
        assert "atypia" in str(client.get("/v1/models").json())
        # Counted again, and after a review that rejects an atypical figure.
        where = f"/v1/analyses/{done['id']}"
        higher = client.get(f"{where}/counts", params={"threshold": 0.9}).json()
        assert higher["atypia"] == stated["atypia"]
        assert higher["counts"]["atypical"]["of"] == higher["counts"]["mitotic_figures"]
        assert higher["counts"]["atypical"]["figures"] <= report.counts.atypical.figures
        number = next(i for i, d in enumerate(report.detections) if (d.atypical_probability or 0) >= 0.5)
        answer = client.post(f"{where}/reviews", json={"action": "reject", "target": f"detection-{number}"})
        assert answer.status_code == 201, answer.text
        after = client.get(f"{where}/counts", params={"review": "own"}).json()["review"]["counts"]["atypical"]
        assert after == {
            "figures": report.counts.atypical.figures - 1,
            "of": report.counts.atypical.of - 1,
            "share": pytest.approx((report.counts.atypical.figures - 1) / (report.counts.atypical.of - 1), abs=1e-4),
        }
        table = client.get(done["links"]["report"], headers={"accept": "application/vnd.mitoserve.detections+csv"})
        assert table.text.splitlines()[0].endswith(",atypical_probability,atypical")


def test_atypical_figures_are_told_apart_on_the_command_line(
    models: Path, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOSIS_PROVIDERS", "CPUExecutionProvider")
    slide = tmp_path / "a.png"
    Image.fromarray(drawn[0]).save(slide)
    arguments = ["score", str(slide), "--models", str(models), "--mpp", "0.25", "--out", str(tmp_path / "out")]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(main, arguments)
    assert result.exit_code == 0, result.output
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert report.counts.atypical is not None
    assert f", {report.counts.atypical.figures} of {report.counts.mitotic_figures} atypical," in result.output
    assert _balanced_accuracy(report, drawn) >= 0.8
    again = CliRunner().invoke(main, ["export", str(tmp_path / "out" / "report.json"), "--to", "coco"])
    assert again.exit_code == 0, again.output
    boxes = json.loads((tmp_path / "out" / "coco.json").read_text())["annotations"]
    assert sum(box["attributes"]["atypical"] for box in boxes) == report.counts.atypical.figures
