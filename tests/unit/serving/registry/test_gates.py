"""A release is held against the one that serves on slides whose figures are known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.core.geometry import Region
from serving.registry import gates as module
from serving.registry.gates import judge_gates
from serving.registry.golden import read_golden
from serving.registry.measuring import CascadeMeasurement, measure
from serving.registry.registry import ModelRegistry
from serving.registry.version import GoldenSetError, VersionRefusedError
from serving.scoring.loading import load_cascade
from serving.settings import ServerSettings
from serving.slides.opening import open_slide
from serving.store.database import Database
from tests.fakes import tissue
from tests.field_files import tiff
from tests.quick_models import write_quick_models
from tests.samples import write_pyramid

pytestmark = pytest.mark.usefixtures("checks_here")
CENTRES = ((375, 375), (875, 625))
"""Middles of sub-tiles, where the quick models put their boxes."""


def feature(name: str | dict[str, Any], geometry: str, coordinates: Any) -> dict[str, Any]:
    classification = {"name": name} if isinstance(name, str) else name
    properties = {"objectType": "annotation", "classification": classification}
    return {"type": "Feature", "geometry": {"type": geometry, "coordinates": coordinates}, "properties": properties}


def square(x: float, y: float, half: float = 20) -> list[list[list[float]]]:
    return [
        [[x - half, y - half], [x + half, y - half], [x + half, y + half], [x - half, y + half], [x - half, y - half]]
    ]


def write_truth(path: Path, features: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A slide of dark squares, of which each is a figure."""
    folder = tmp_path / "golden"
    folder.mkdir()
    pixels = tissue(1250, 1000)
    for x, y in CENTRES:
        pixels[y - 125 : y + 125, x - 125 : x + 125] = (60, 30, 110)
    write_pyramid(folder / "a.tif", pixels)
    write_truth(folder / "a.geojson", [feature("Mitosis", "Polygon", square(x, y)) for x, y in CENTRES])
    return folder


def test_truth_is_read_as_qupath_and_the_exports_write_it(golden: Path) -> None:
    write_truth(
        golden / "a.geojson",
        [
            feature("Mitosis", "Polygon", square(100, 200)),
            feature({"names": ["Mitosis", "accepted"]}, "Point", [300, 400]),
            feature("mitotic figures", "MultiPoint", [[5, 6], [7, 8]]),
            feature("Not mitosis", "Polygon", square(500, 500)),
            feature("Mitotic hotspot", "Polygon", square(500, 500, 400)),
            feature("Reviewed area", "Polygon", square(150, 250, 150)),
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}, "properties": None},
        ],
    )
    (slide,) = read_golden(golden)
    assert slide.path.name == "a.tif"
    assert slide.figures(0.25).tolist() == [[100, 200], [300, 400], [5, 6], [7, 8]]
    assert slide.was_looked_at(10, 110)
    assert not slide.was_looked_at(301, 110)


@pytest.mark.parametrize(("mpp", "figures"), [(0.25, [[130, 200]]), (0.5, [[100, 200], [160, 200]])])
def test_plates_of_one_outline_are_one_figure_where_they_are_near(
    golden: Path, mpp: float, figures: list[list[float]]
) -> None:
    """As training reads them: a gap of 44 px is 11 um at 0.25 um/px."""
    plates = [square(100, 200, 8), square(160, 200, 8)]
    write_truth(golden / "a.geojson", [feature("Mitosis", "MultiPolygon", plates)])
    (slide,) = read_golden(golden)
    assert slide.figures(mpp).tolist() == figures


def test_a_golden_set_that_cannot_be_used_says_why(golden: Path, registry: ModelRegistry) -> None:
    for content, reason in {
        "no json": "is not GeoJSON",
        '{"features": [{"geometry": null}]}': "is not GeoJSON",
        '{"features": [{"geometry": {"type": "Polygon", "coordinates": []}}]}': "is not GeoJSON",
        '{"features": []}': "no mitotic figure in",
    }.items():
        (golden / "a.geojson").write_text(content)
        with pytest.raises(GoldenSetError, match=reason):
            read_golden(golden)
    (golden / "b.geojson").write_text("{}")
    (golden / "a.geojson").unlink()
    with pytest.raises(GoldenSetError, match="0 slides belong to"):
        read_golden(golden)
    (golden / "b.geojson").unlink()
    with pytest.raises(GoldenSetError, match=r"no \.geojson in"):
        read_golden(golden)
    with pytest.raises(GoldenSetError, match="is no folder"):
        read_golden(golden / "missing")
    with pytest.raises(GoldenSetError, match="set MITOSIS_GOLDEN_SET"):
        registry.gates.verdict(registry.serving(), registry.serving())


MEASURED = CascadeMeasurement(
    slides=2, figures=50, found=50, matched=40, brier=0.1, calibration_error=0.1, seconds=10.0, tissue_mm2=5.0
)


def refuse(**worse: Any) -> list[str]:
    return [
        gate.name for gate in judge_gates(replace(MEASURED, **worse), MEASURED, ServerSettings()) if not gate.passed
    ]


def test_each_gate_has_a_margin() -> None:
    assert refuse() == []
    assert refuse(matched=39, brier=0.119, seconds=12.4) == []
    assert refuse(matched=38) == ["F1"]
    assert refuse(found=60) == ["F1"]
    assert refuse(brier=0.121) == ["calibration (Brier score)"]
    assert refuse(seconds=12.6) == ["seconds a mm2 of tissue"]
    assert refuse(found=0, matched=0, brier=None, calibration_error=None) == ["F1"]
    assert refuse(matched=50, brier=0.0, seconds=1.0) == []
    text = str(judge_gates(replace(MEASURED, matched=20), MEASURED, ServerSettings())[0])
    assert text == "F1 0.4 against 0.8 (may fall by 0.02): refused"


def test_a_worse_release_is_refused_with_both_numbers_unless_it_is_forced(
    registry: ModelRegistry, settings: ServerSettings, database: Database, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated = ModelRegistry(settings.model_copy(update={"golden_set": golden, "gate_speed": 1000.0}), database)
    write_quick_models(settings.models, "0.0.0", scale=1000.0)  # nothing passes its screening
    serving = gated.serving()
    with pytest.raises(VersionRefusedError) as caught:
        gated.promote(["0.0.0"], "ann")
    said = str(caught.value)
    assert said.startswith(
        "its gates refuse reg-ns@0.0.0, det@0.0.0 against what serves, on 1 slide with 2 mitotic figures"
    )
    assert "F1 0 against" in said
    assert "seconds a mm2 of tissue" in said
    assert "calibration (Brier score) none against" in said
    assert gated.serving() == serving

    monkeypatch.setattr(module, "measure_in_subprocess", lambda *_: pytest.fail("it was measured again"))
    with pytest.raises(VersionRefusedError, match="its gates refuse"):
        gated.promote(["0.0.0"], "ann")
    release = gated.promote(["0.0.0"], "ann", because="the scanner was replaced")
    assert (release.because, gated.serving()) == ("the scanner was replaced", release.models)
    assert gated.rollback("ann").because == "rollback"
    (golden / "a.tif").touch()
    with pytest.raises(pytest.fail.Exception):
        gated.gates.verdict(release.models, gated.serving())


def test_truth_in_px_of_the_file_is_that_of_a_slide_whose_pixels_are_not_square(
    settings: ServerSettings, golden: Path
) -> None:
    """QuPath writes px of the file; the slide is read in square ones."""
    detector = load_cascade(
        {name: settings.models / name / "0.0.1" for name in ("reg-ns", "det")}, providers=settings.providers
    )
    (square_px,) = measure([detector], read_golden(golden))
    with open_slide(golden / "a.tif") as slide:
        pixels = slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)
    tiff(scale=(1, 0.5), compression="deflate")(golden / "a.tif", pixels)
    truth = (golden / "a.geojson").read_text()
    features = json.loads(truth)["features"]
    for found in features:
        found["geometry"]["coordinates"] = [[[x, y / 2] for x, y in ring] for ring in found["geometry"]["coordinates"]]
    write_truth(golden / "a.geojson", features)
    (oblong,) = measure([detector], read_golden(golden))
    assert (oblong.figures, oblong.matched) == (square_px.figures, square_px.matched) == (2, 2)


def test_places_where_nobody_looked_are_no_false_alarms(settings: ServerSettings, golden: Path) -> None:
    folders = {name: settings.models / name / "0.0.1" for name in ("reg-ns", "det")}
    detector = load_cascade(folders, providers=settings.providers)
    (wide,) = measure([detector], read_golden(golden))
    truth = json.loads((golden / "a.geojson").read_text())["features"]
    write_truth(golden / "a.geojson", [*truth, feature("Reviewed area", "Polygon", square(375, 375, 60))])
    (narrow,) = measure([detector], read_golden(golden))
    assert (wide.matched, wide.figures, narrow.matched) == (2, 2, 2)
    assert wide.found > narrow.found == 2
    assert narrow.f1 == 1
    assert narrow.brier is not None
    assert wide.brier is not None
    assert np.isfinite([wide.brier, narrow.brier, wide.seconds]).all()


def test_a_release_that_nothing_judged_says_so_and_one_that_was_forced_says_why(
    registry: ModelRegistry, settings: ServerSettings
) -> None:
    write_quick_models(settings.models, "0.2", scale=30.0)
    for release in (registry.promote(["0.2"], "ann"), registry.want(["0.2"], "ann")):
        assert "there is no golden set" in release.detail
    assert registry.promote(["0.2"], "ann", because="a test").detail == ""
