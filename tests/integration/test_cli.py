"""The command line on generated slides, in this process."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serving.cli import main
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.synthetic.slide import generate_slide
from tests.quick_models import write_quick_models

pytestmark = pytest.mark.integration


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def settings(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOSIS_MODELS", str(models))


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "small.tif"
    generate_slide(path, seed=1, width=600, height=500, tissue_fraction=1.0, mitoses_per_mm2=150)
    return path


def test_score_writes_every_export(slide: Path, tmp_path: Path) -> None:
    result = run("score", slide, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "mitotic figures" in result.output
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.json", "detections.geojson", "tiles.csv", "mitosis-map.png", "mitosis-map.tif"}
    report = Report.model_validate_json((tmp_path / "report.json").read_bytes())
    assert report.counts.mitotic_figures == len(report.detections) == sum(t.mitotic_count for t in report.tiles)
    features = json.loads((tmp_path / "detections.geojson").read_text())["features"]
    assert len(features) == len(report.detections) + len(report.hotspots) + len(report.tiles)


def test_a_report_becomes_every_other_format(slide: Path, tmp_path: Path) -> None:
    assert run("score", slide, "--out", tmp_path, "--hotspot-shape", "disc", "--hotspot-area", 0.1).exit_code == 0
    report = tmp_path / "report.json"
    for name, export in EXPORTS.items():
        path = tmp_path / "again" / export.file_name
        path.parent.mkdir(exist_ok=True)
        result = run("export", report, "--to", name, "--slide", slide, "--out", path)
        if export.needs_slide:
            assert result.exit_code == 1
            assert "wsidicomizer" in result.output
        else:
            assert result.exit_code == 0, result.output
            assert path.stat().st_size > 0
    for name in ("detections.geojson", "tiles.csv", "mitosis-map.tif"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert "pass --slide" in run("export", report, "--to", "pdf").output
    (tmp_path / "mitosis-map.tif").unlink()
    assert "mitosis-map.tif is missing" in run("export", report, "--to", "coco").output


def test_one_bad_slide_does_not_stop_the_others(slide: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_text("no slide")
    result = run("score", bad, slide, slide, "--out", tmp_path / "out", "--roi", "0,0,250,250")
    assert result.exit_code == 1
    assert "bad.svs" in result.output
    assert "1 of 3 slides failed" in result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["small", "small-2"]


def test_missing_resolution_names_the_override(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    generate_slide(path, width=512, height=512, tissue_fraction=1.0, mpp=None)
    refused = run("score", path, "--out", tmp_path / "a")
    assert refused.exit_code == 1
    assert "give --mpp, such as 0.25" in refused.output
    assert "mpp=" not in refused.output
    assert run("score", path, "--out", tmp_path / "b", "--mpp", 0.25, "--roi", "0,0,250,250").exit_code == 0
    report = Report.model_validate_json((tmp_path / "b" / "report.json").read_bytes())
    assert report.slide.mpp_source == "override"


def test_a_region_outside_is_written_as_it_was_given(slide: Path, tmp_path: Path) -> None:
    refused = run("score", slide, "--out", tmp_path, "--roi", "9000,9000,100,100")
    assert refused.exit_code == 1
    assert "--roi 9000,9000,100,100 lies outside the slide of 600 x 500 px" in refused.output


def test_wrong_options_try_nothing(slide: Path, tmp_path: Path) -> None:
    for option, value in (
        ("--roi", "1,2,3"),
        ("--mpp", "0"),
        ("--threshold", "7"),
        ("--models", tmp_path),
        ("--provider", "Abacus"),
    ):
        result = run("score", slide, "--out", tmp_path / "out", option, value)
        assert result.exit_code == 2, (option, result.output)
        assert f"`{option[2:]}`" not in result.output, "its name over HTTP"
    assert not (tmp_path / "out").exists()


def test_info_states_size_and_resolution(slide: Path) -> None:
    result = run("info", slide)
    assert result.exit_code == 0
    assert "600 x 500 px" in result.output
    assert "0.25" in result.output


def test_info_of_no_slide_is_an_error(tmp_path: Path) -> None:
    result = run("info", tmp_path / "absent.svs")
    assert result.exit_code == 1
    assert "absent.svs" in result.output


def test_every_command_has_help() -> None:
    for command in ([], ["score"], ["serve"], ["models"], ["models", "promote"], ["info"]):
        assert run(*command, "--help").exit_code == 0
