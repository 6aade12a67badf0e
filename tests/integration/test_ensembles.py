"""An ensemble made, kept and served: weights by a command, then a slide over HTTP, its exports and a count again."""

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from serving.cli.models import models
from serving.core.modelcard import load_card
from serving.core.report import Report
from serving.scoring.loading import load_detector
from serving.synthetic.field import generate_field
from tests.ensembles import write_ensemble
from tests.labelled_fields import MPP, write_midog
from tests.miniatures.cards import make_boxes_card, make_points_card, write_miniature
from tests.services import bring, serving, submit, wait_for_end
from tests.unit.serving.scoring.test_miniatures import measure_f1

pytestmark = pytest.mark.integration
CARDS = (make_points_card(), make_boxes_card())


def run(*arguments: object) -> Result:
    return CliRunner().invoke(models, [str(argument) for argument in arguments])


def test_weights_are_chosen_on_labelled_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOSIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MITOSIS_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("MITOSIS_PROVIDERS", "CPUExecutionProvider")
    monkeypatch.setenv("MITOSIS_MODEL_WINDOW_S", "60")
    for card in CARDS:
        write_miniature(tmp_path / "models", card)
    data = write_midog(tmp_path / "midog++")
    both = ("points@0.0.1", "boxes@0.0.1")
    made = run("ensemble", *both, "--labelled", data, "--mpp", MPP, "--as", "1.0.0", "--out", tmp_path / "out")
    assert made.exit_code == 0, made.output
    card = load_card(tmp_path / "out" / "ensemble" / "1.0.0")
    assert card.fusion is not None
    assert [detector.name for detector in card.fusion.detectors] == ["points", "boxes"]
    assert sum(detector.weight for detector in card.fusion.detectors) == pytest.approx(1)
    assert "the sum of points" in card.fusion.speed
    assert float(str(card.figures["ensemble_f1"]).split()[0]) >= 0.9
    assert {"points_f1", "boxes_ap", "f1_gain_over_points"} <= set(card.figures)
    assert "3 cases" in card.fusion.achieved
    kept = run("ensemble", *both, "--labelled", data, "--mpp", MPP, "--as", "1.0.0", "--method", "logit")
    assert kept.exit_code == 0, kept.output
    assert "ensemble" in run("list").output
    assert run("verify", "ensemble@1.0.0").exit_code == 0
    promoted = run("promote", "ensemble@1.0.0")
    assert promoted.exit_code == 0, promoted.output
    assert "points@0.0.1, boxes@0.0.1, ensemble@1.0.0" in promoted.output
    for wrong, why in (
        (("points@0.0.1",), "is one detector"),
        (("points@0.0.1", "boxes@9.9.9"), "no version boxes@9.9.9"),
        (("points@0.0.1", "ensemble@1.0.0"), "finds no figures"),
    ):
        refused = run("ensemble", *wrong, "--labelled", data, "--as", "1.0.1")
        assert refused.exit_code == 1
        assert why in " ".join(refused.output.split())


def test_a_slide_is_scored_by_an_ensemble_over_http(tmp_path: Path) -> None:
    root = tmp_path / "models"
    write_ensemble(root, {card.name: [write_miniature(root, card)] for card in CARDS})
    field = generate_field(seed=41, width=1301, height=1153, mitoses_per_mm2=250.0, lookalikes_per_mm2=250.0)
    buffer = io.BytesIO()
    Image.fromarray(field.pixels).save(buffer, "PNG")
    with serving(tmp_path / "state", lambda: load_detector(root, providers=["CPUExecutionProvider"])) as client:
        done = wait_for_end(client, submit(client, bring(client, buffer.getvalue()))["id"])
        assert done["state"] == "succeeded", done
        stated = client.get(done["links"]["report"]).json()
        assert measure_f1(Report.model_validate(stated), field) >= 0.9
        assert [member["name"] for member in stated["ensemble"]["detectors"]] == ["points", "boxes"]
        assert all(found["detectors"] for found in stated["detections"])
        assert set(stated["timing"]["detectors_s"]) == {"points", "boxes"}
        again = client.get(done["links"]["report"], params={"hotspot_area": 0.1, "threshold": 0.8}).json()
        assert 0 < again["counts"]["mitotic_figures"] <= stated["counts"]["mitotic_figures"]
        assert all(found["detectors"] for found in again["detections"])
        table = client.get(done["links"]["report"], headers={"accept": "application/vnd.mitoserve.detections+csv"}).text
        assert table.splitlines()[0].endswith(",detectors")
        assert "points 0." in table
        drawn = client.get(done["links"]["report"], headers={"accept": "application/geo+json"}).json()
        first = next(f for f in drawn["features"] if f["properties"]["objectType"] == "detection")
        assert "points" in json.dumps(first["properties"])
        assert any(name.startswith("probability of ") for name in first["properties"]["measurements"])
        assert "ensemble" in str(client.get("/v1/models").json())
