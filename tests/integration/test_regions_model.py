"""From a contract in YAML to counts that a regions model bounds: on the command line, over HTTP, and overruled there by people."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from serving.cli import main
from serving.core.report import Report
from serving.registry.golden import read_golden
from serving.registry.measuring import measure
from serving.scoring.loading import load_detector, load_release
from serving.scoring.matching import match_centres
from serving.scoring.reviewed import find_centres
from tests.miniatures.cards import make_points_card, write_miniature
from tests.miniatures.regions import draw_two_kinds, state_regions, write_network
from tests.samples import write_pyramid
from tests.services import bring, serving, submit, wait_for_end
from tests.unit.serving.adoption.foreign import write_contract

pytestmark = pytest.mark.integration
CPU = ["CPUExecutionProvider"]
WIDTH, HEIGHT, MPP = 1801, 1353, 0.25
TUMOUR = [(250, 150), (1550, 260), (1400, 1190), (330, 1090)]
HOLE = [(700, 500), (1100, 500), (1100, 850), (700, 850)]
EDGE_PX = 64.0
"""The model sees 16 um at once: nearer to an edge than that a figure may lie on either side."""
REACH_PX = 30.0
Drawn = tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.bool_]]


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw_two_kinds(53, WIDTH, HEIGHT, TUMOUR, HOLE)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of points, and the regions model as the command adopts it."""
    root = tmp_path_factory.mktemp("models")
    write_miniature(root, make_points_card())
    source = write_network(root.parent / "theirs.onnx")
    contract = write_contract(root.parent / "contract.yaml", state_regions())
    arguments = ["models", "adopt", str(source), "--contract", str(contract), "--out", str(root)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return root


def _check(report: Report, drawn: Drawn) -> None:
    """Figures well inside the tumour count, those well outside or in its hole do not, and areas are those of the polygons."""
    _, middles, inside = drawn
    tumour = shapely.Polygon(TUMOUR, [HOLE])
    far = shapely.distance(shapely.points(middles), tumour.boundary) > EDGE_PX
    assert min((inside & far).sum(), (~inside & far).sum()) >= 10
    counted, left_out = (find_centres(found) for found in (report.detections, report.outside))
    for found, expected in ((counted, inside & far), (left_out, ~inside & far)):
        assert len(match_centres(found, middles[expected], REACH_PX)) >= 0.9 * expected.sum()
    for found, other in ((counted, ~inside & far), (left_out, inside & far)):
        assert not match_centres(found, middles[other], REACH_PX)
    assert report.regions is not None
    mm2 = (1000 / MPP) ** 2
    areas = {one.name: one.area_mm2 for one in report.regions.classes}
    assert areas["Tumor"] == pytest.approx(tumour.area / mm2, rel=0.05)
    assert areas["Necrosis"] == pytest.approx((WIDTH * HEIGHT - tumour.area) / mm2, rel=0.05)
    assert areas["Glass"] == 0
    assert report.counts.tissue_area_mm2 == pytest.approx(areas["Tumor"], abs=1e-3)
    assert report.counts.bounded_by == ["tissue", "regions model"]


def test_figures_outside_are_not_counted_on_the_command_line(
    models: Path, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOSIS_PROVIDERS", CPU[0])
    slide = tmp_path / "a.png"
    Image.fromarray(drawn[0]).save(slide)
    score = ["score", str(slide), "--models", str(models), "--mpp", str(MPP)]
    result = CliRunner().invoke(main, [*score, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    _check(report, drawn)
    everywhere = CliRunner().invoke(main, [*score, "--model-regions", "ignore", "--out", str(tmp_path / "all")])
    assert everywhere.exit_code == 0, everywhere.output
    other = Report.model_validate_json((tmp_path / "all" / "report.json").read_text())
    assert len(other.detections) == len(report.detections) + len(report.outside)
    assert other.analysis_id != report.analysis_id
    arguments = [
        "recount",
        str(tmp_path / "out" / "report.json"),
        "--slide",
        str(slide),
        "--out",
        str(tmp_path / "again"),
    ]
    again = CliRunner().invoke(main, [*arguments, "--model-regions", "ignore"])
    assert again.exit_code == 0, again.output
    recounted = Report.model_validate_json((tmp_path / "again" / "report.json").read_text())
    assert recounted.analysis_id == other.analysis_id


def test_a_golden_set_misses_what_the_model_leaves_out(models: Path, drawn: Drawn, tmp_path: Path) -> None:
    """A gate sees what a release counts: figures outside its regions are missed, and seconds are by all of the tissue."""
    pixels, middles, inside = drawn
    golden = tmp_path / "golden"
    golden.mkdir()
    write_pyramid(golden / "a.tif", pixels)
    figures = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [float(x), float(y)]},
            "properties": {"objectType": "annotation", "classification": {"name": "Mitosis"}},
        }
        for x, y in middles
    ]
    (golden / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": figures}))
    with_regions = load_detector(models, providers=CPU)
    alone = load_release({"points": next((models / "points").iterdir())}, providers=CPU)
    bounded, everywhere = measure([with_regions, alone], read_golden(golden))
    assert bounded.figures == everywhere.figures == len(middles)
    assert everywhere.matched >= 0.9 * len(middles)
    far = shapely.distance(shapely.points(middles), shapely.Polygon(TUMOUR, [HOLE]).boundary) > EDGE_PX
    assert (inside & far).sum() * 0.9 <= bounded.matched <= len(middles) - 0.9 * (~inside & far).sum()
    assert bounded.f1 < everywhere.f1
    assert bounded.tissue_mm2 == everywhere.tissue_mm2


def _rectangle(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"name": "mine"},
    }
    return {"type": "FeatureCollection", "unit": "level-0 px", "features": [feature]}


def test_the_model_bounds_counts_over_http_until_somebody_draws(models: Path, drawn: Drawn, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(drawn[0]).save(buffer, "PNG")
    with serving(tmp_path / "state", lambda: load_detector(models, providers=CPU)) as client:
        done = wait_for_end(client, submit(client, bring(client, buffer.getvalue()))["id"])
        assert done["state"] == "succeeded", done
        where = f"/v1/analyses/{done['id']}"
        report = Report.model_validate(client.get(done["links"]["report"]).json())
        _check(report, drawn)
        assert "regions" in str(client.get("/v1/models").json())
        # What is drawn on the page, and exported, are the model's regions, with the names of its classes.
        shown = client.get(f"{where}/regions").json()
        assert [f["properties"]["classification"]["name"] for f in shown["within"]["features"]] == ["Tumor"]
        assert [f["properties"]["classification"]["name"] for f in shown["exclude"]["features"]] == ["Necrosis"]
        assert shown["drawn"] is None
        assert report.settings.counting is not None
        assert shown["sha256"] == report.settings.counting.regions_sha256
        exported = client.get(f"{where}/regions.geojson").json()
        assert {f["properties"]["classification"]["name"] for f in exported["features"]} == {"Tumor", "Necrosis"}
        page = client.get(done["links"]["report"], headers={"accept": "text/html"})
        assert "counted in: Tumor" in page.text.replace("&#x27;", "'")
        count = client.get(f"{where}/counts", params={"hotspot_area": 0.1}).json()["counts"]
        assert count["bounded_by"] == ["tissue", "regions model"]
        assert count["mitotic_figures"] == report.counts.mitotic_figures
        for query in ({"regions": "off"}, {"model_regions": "ignore"}):
            everywhere = client.get(f"{where}/counts", params=query).json()["counts"]
            assert everywhere["mitotic_figures"] == len(report.detections) + len(report.outside)
            assert everywhere["bounded_by"] == ["tissue"]
        none = client.post(f"{where}/counts", json={"within": None, "exclude": None})
        if none.status_code == 200:
            assert none.json()["counts"]["bounded_by"] == ["tissue"]
        # Somebody draws: from now on that counts, and the model's stay in the report.
        mine = _rectangle(0, 0, 250, HEIGHT)
        drawn_now = client.put(f"{where}/regions", json={"within": mine, "exclude": None})
        assert drawn_now.status_code == 200, drawn_now.text
        after = client.get(done["links"]["report"]).json()
        assert after["counts"]["bounded_by"] == ["tissue", "within"]
        assert after["regions"] == json.loads(report.model_dump_json())["regions"]
        assert client.put(f"{where}/regions", json={"within": None, "exclude": None}).status_code == 200
        cleared = client.get(f"{where}/counts").json()["counts"]
        assert cleared["bounded_by"] == ["tissue"], "whoever takes all regions away counts everywhere"
        scored = client.get(f"{where}/counts", params={"regions": "scored"}).json()["counts"]
        assert scored["bounded_by"] == ["tissue", "regions model"]
        # The same slide again, with an option: another result.
        wanted = {"slide": done["slide"], "options": {"mpp": MPP, "model_regions": "ignore"}}
        answer = client.post("/v1/analyses", json=wanted)
        assert answer.status_code in (200, 202), answer.text
        other = wait_for_end(client, answer.json()["id"])
        assert client.get(other["links"]["report"]).json()["counts"]["bounded_by"] == ["tissue"]
