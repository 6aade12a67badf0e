"""`mitoserve models shadow | compare | gate | reference | drift` on quick models, in this process."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from serving.cli import main
from serving.core.card_parts import DriftReference
from tests.fakes import tissue
from tests.quick_models import write_quick_models
from tests.samples import write_pyramid

pytestmark = pytest.mark.integration


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    folder = tmp_path / "golden"
    folder.mkdir()
    pixels = tissue(1000, 750)
    pixels[250:500, 250:500] = (60, 30, 110)
    write_pyramid(folder / "a.tif", pixels)
    figure = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [375, 375]},
        "properties": {"classification": {"name": "Mitosis"}},
    }
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [figure]}))
    return folder


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = write_quick_models(tmp_path / "models")
    write_quick_models(models, "0.0.0", scale=1000)  # so blind that nothing passes
    stated = {"STATE": tmp_path / "state", "MODELS": models, "PROVIDERS": "CPUExecutionProvider", "MODEL_WINDOW_S": 10}
    for name, value in {**stated, "GATE_SPEED": 1000}.items():
        monkeypatch.setenv(f"MITOSIS_{name}", str(value))


def run(*arguments: object, command: str = "models", code: int = 0) -> Result:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(main, [command, *(str(a) for a in arguments)])
    assert result.exit_code == code, result.output
    return result


def test_a_candidate_from_shadow_to_gate(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no shadow runs" in run("shadow", "--stop", code=1).output
    assert "no shadow has run" in run("compare", code=1).output
    assert "shadow 1 repeats 30% of analyses: reg-ns@0.0.0, det@0.0.0" in run("shadow", "0.0.0", "--share", 0.3).output
    assert "running" in run("shadow").output
    assert "shadow 1 runs reg-ns@0.0.0; stop it first" in run("retire", "reg-ns@0.0.0", code=1).output
    assert "0 slides" in run("compare", "--shadow", 1).output
    assert "shadow 1 is stopped" in run("shadow", "--stop").output

    out = tmp_path / "out"
    said = run("compare", "serving", "reg-ns@0.0.0", "--slides", golden / "a.tif", "--out", out).output
    assert "first reg-ns@0.0.1, det@0.0.1; second reg-ns@0.0.0, det@0.0.1; 1 slides" in said
    found = json.loads((out / "comparison.json").read_text())
    assert found["figures"]["mean_first"] > found["figures"]["mean_second"] == 0
    assert len(json.loads((out / "pairs.json").read_text())) == 1
    assert (out / "comparison.html").read_text().count("data:image/jpeg") == found["places"]["only_first"]

    refused = run("gate", "0.0.0", "--golden", golden, code=1).output
    assert "F1 0 against" in refused
    assert "candidate: 0 of 1 figures, 0 detections" in refused
    monkeypatch.setenv("MITOSIS_GOLDEN_SET", str(golden))
    assert "its gates refuse reg-ns@0.0.0, det@0.0.0 against what serves" in run("promote", "0.0.0", code=1).output
    assert "serves: reg-ns@0.0.0" in run("promote", "0.0.0", "--force", "--because", "the scanner changed").output
    monkeypatch.setattr("serving.cli.models._out", Console(width=200))
    assert "gates not asked: the scanner changed" in run("releases").output
    records = [json.loads(line) for line in run("show", command="audit").output.splitlines()]
    assert [(r["action"], r["subject"]) for r in records] == [
        ("models shadow", "1"), ("models shadow --stop", "1"), ("models promote", "2 forced: the scanner changed"),
    ]  # fmt: skip


def test_a_reference_is_chosen(golden: Path) -> None:
    assert "has no reference yet" in run("reference").output
    assert "there is no reference yet" in run("drift").output
    assert "no slide was scored with reg-ns@0.0.1 yet" in run("reference", "--latest", 5, code=1).output
    assert "reg-ns@0.0.1 is compared with golden set golden: 1 slides" in run("reference", "--golden", golden).output
    stated = DriftReference.model_validate_json(run("reference", "--json").output)
    assert (stated.slides, stated.data) == (1, "golden set golden")
    assert "0 recent slides against golden set golden" in run("drift").output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("compare", "0.0.1", "0.0.0"), "write FIRST SECOND --slides SLIDE"),
        (("compare", "0.0.1", "0.0.0", "--slides"), "write FIRST SECOND --slides SLIDE"),
        (("promote", "0.0.0", "--force"), "--force and --because go together"),
        (("shadow", "0.0.0", "--stop"), "name a candidate to start a shadow, or give --stop"),
        (("reference", "--first", 3, "--latest", 3), "give one of --first, --latest and --golden"),
    ],
)
def test_what_contradicts_itself_is_refused(arguments: tuple[object, ...], reason: str) -> None:
    assert reason in run(*arguments, code=2).output


def test_what_cannot_be_done_says_why(tmp_path: Path) -> None:
    assert "set MITOSIS_GOLDEN_SET" in run("gate", "0.0.0", code=1).output
    assert "share is 2" in run("shadow", "0.0.0", "--share", 2, code=1).output
    assert "there is no shadow 7" in run("compare", "--shadow", 7, code=1).output
    assert "missing.svs" in run("compare", "serving", "0.0.0", "--slides", tmp_path / "missing.svs", code=1).output
