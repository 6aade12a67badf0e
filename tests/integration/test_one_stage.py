"""A one-stage detector behind HTTP: upload, analysis, report, map and a count with other settings."""

import io
from pathlib import Path

from PIL import Image

from serving.core.report import Report
from serving.scoring.loading import load_detector
from serving.synthetic.field import generate_field
from tests.miniatures.cards import make_points_card, write_miniature
from tests.services import bring, serving, submit, wait_for_end
from tests.unit.serving.scoring.test_miniatures import measure_f1


def test_a_slide_is_scored_by_points_alone(tmp_path: Path) -> None:
    write_miniature(tmp_path / "models", make_points_card())
    field = generate_field(seed=41, width=1301, height=1153, mitoses_per_mm2=250.0, lookalikes_per_mm2=250.0)
    buffer = io.BytesIO()
    Image.fromarray(field.pixels).save(buffer, "PNG")
    with serving(
        tmp_path / "state", lambda: load_detector(tmp_path / "models", providers=["CPUExecutionProvider"])
    ) as client:
        done = wait_for_end(client, submit(client, bring(client, buffer.getvalue()))["id"])
        assert done["state"] == "succeeded", done
        report = client.get(done["links"]["report"])
        assert measure_f1(Report.model_validate_json(report.text), field) >= 0.9
        stated = report.json()
        assert [model["name"] for model in stated["models"]] == ["points"]
        assert stated["settings"]["map_shows"] == "highest probabilities"
        assert stated["counts"]["expected"] is None
        assert "Research Use Only" in stated["research_use"]
        other = client.get(done["links"]["report"], params={"hotspot_area": 0.1, "threshold": 0.8}).json()
        assert other["hotspots"][0]["area_mm2"] <= 0.11
        assert 0 < other["counts"]["mitotic_figures"] <= stated["counts"]["mitotic_figures"]
        for kind in ("image/png", "application/geo+json", "text/csv"):
            answer = client.get(done["links"]["report"], headers={"accept": kind})
            assert answer.status_code == 200, answer.text
        listed = client.get("/v1/models").json()
        assert "points" in str(listed)
