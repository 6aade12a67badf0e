"""Regions from files to counts: the command line on a generated slide, and masks as pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

from serving.cli import main
from serving.core.report import Report
from serving.synthetic.slide import generate_slide
from tests.quick_models import write_quick_models

pytestmark = pytest.mark.integration
LEFT = {
    "type": "Feature",
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [300, 0], [300, 500], [0, 500], [0, 0]]]},
    "properties": {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}},
}


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


@pytest.fixture
def tumour(tmp_path: Path) -> Path:
    path = tmp_path / "tumour.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [LEFT]}))
    return path


def read(folder: Path) -> Report:
    return Report.model_validate_json((folder / "report.json").read_bytes())


def find_xs(report: Report) -> list[float]:
    return sorted(round(d.x + d.width / 2, 1) for d in report.detections)


def without_times(report: Report) -> dict[str, Any]:
    return report.model_dump(exclude={"timing", "software"})


def test_score_and_recount_give_the_same_in_regions(slide: Path, tumour: Path, tmp_path: Path) -> None:
    whole, scored, again, back = (tmp_path / name for name in ("whole", "scored", "again", "back"))
    assert run("score", slide, "--out", whole).exit_code == 0
    everything = read(whole)
    inside = [x for x in find_xs(everything) if x < 300]
    assert 0 < len(inside) < len(everything.detections)

    result = run("score", slide, "--out", scored, "--within", tumour)
    assert result.exit_code == 0, result.output
    report = read(scored)
    assert find_xs(report) == inside
    assert report.counts.bounded_by == ["tissue", "within"]
    assert report.counts.tissue_area_mm2 == pytest.approx(everything.counts.tissue_area_mm2 / 2, rel=0.03)
    assert "Tumor" in (scored / "detections.geojson").read_text()

    result = run("recount", whole / "report.json", "--slide", slide, "--out", again, "--within", tumour)
    assert result.exit_code == 0, result.output
    assert f"{len(inside)} mitotic figure" in result.output
    assert "(tissue, within)" in result.output
    assert without_times(read(again)) == without_times(report)

    result = run("recount", scored / "report.json", "--slide", slide, "--out", back, "--exclude", tumour)
    assert result.exit_code == 0, result.output
    assert find_xs(read(back)) == [x for x in find_xs(everything) if x >= 300]


def test_masks_are_outlines_of_their_px(slide: Path, tumour: Path, tmp_path: Path) -> None:
    assert run("score", slide, "--out", tmp_path / "polygon", "--within", tumour).exit_code == 0
    expected = read(tmp_path / "polygon")
    mpp = expected.slide.mpp
    mask = np.zeros((125, 150), np.uint8)
    mask[:, :75] = 1  # nearly black: any value but 0 is inside
    um = 4 * mpp  # a px of the mask
    plain, stated, tags, clear = (tmp_path / name for name in ("plain.png", "stated.png", "tags.tif", "clear.png"))
    Image.fromarray(np.stack([np.full_like(mask, 9)] * 3 + [mask * 255], 2)).save(clear)
    Image.fromarray(mask).save(plain)
    Image.fromarray(mask).save(stated, dpi=(25400 / um, 25400 / um))
    tifffile.imwrite(tags, mask * 200, resolution=(1e4 / um, 1e4 / um), resolutionunit="CENTIMETER")
    for path, more in ((plain, ["--mask-mpp", um]), (stated, []), (tags, []), (clear, ["--mask-mpp", um])):
        out = tmp_path / f"of-{path.name}"
        result = run("score", slide, "--out", out, "--within", path, *more)
        assert result.exit_code == 0, result.output
        report = read(out)
        assert find_xs(report) == find_xs(expected)
        assert report.counts.tissue_area_mm2 == pytest.approx(expected.counts.tissue_area_mm2, rel=0.01)
        assert report.settings.counting is not None
        assert report.settings.counting.within is not None
        (outline,) = report.settings.counting.within
        assert outline.name == path.stem
        assert len(outline.polygons[0][0]) == 5  # a rectangle
    refused = run("score", slide, "--out", tmp_path / "no", "--within", plain)
    assert refused.exit_code == 2
    assert "states no microns per px: give --mask-mpp" in refused.output


def test_a_mask_s_holes_and_islands_are_holes_and_islands(slide: Path, tmp_path: Path) -> None:
    mask = np.zeros((50, 60), np.uint8)
    mask[5:45, 5:40] = 255
    mask[20:30, 10:20] = 0
    mask[24:26, 14:16] = 255
    mask[10:12, 50:52] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    result = run("score", slide, "--out", tmp_path / "out", "--exclude", tmp_path / "mask.png", "--mask-mpp", 2.5)
    assert result.exit_code == 0, result.output
    stated = read(tmp_path / "out").settings.counting
    assert stated is not None
    assert stated.exclude is not None
    polygons = stated.exclude[0].polygons
    assert sorted(len(polygon) for polygon in polygons) == [1, 1, 2]


def test_files_that_state_no_region_are_refused_with_what_to_do(slide: Path, tumour: Path, tmp_path: Path) -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]]}
    files = {
        "bow.geojson": (json.dumps(bow).encode(), "crosses or touches itself"),
        "list.json": (b"[1, 2]", "no object"),
        "binary.json": (b"\xff\xfe\x00", "no text"),
        "notes.txt": (b"tumour", "states no regions"),
        "empty.geojson": (b"", "no JSON"),
    }
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(black)
    for name, (content, said) in files.items():
        (tmp_path / name).write_bytes(content)
        for command in (["score", slide], ["recount", tumour, "--slide", slide]):
            result = run(*command, "--out", tmp_path / "out", "--within", tmp_path / name)
            assert result.exit_code in (1, 2)
            assert said in result.output.replace("\n", " "), result.output
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    assert (
        "no picture that can be read"
        in run("score", slide, "--out", tmp_path / "out", "--within", tmp_path / "torn.png").output
    )
    assert "black all over" in run("score", slide, "--out", tmp_path / "out", "--within", black, "--mask-mpp", 1).output
    two = run("score", slide, slide, "--out", tmp_path / "out", "--within", tumour)
    assert two.exit_code == 2
    assert "--within and --exclude are regions of one slide" in two.output
    assert not (tmp_path / "out").exists()
    away = tmp_path / "away.geojson"
    away.write_text(json.dumps({"type": "Polygon", "coordinates": [[[9000, 0], [9900, 0], [9900, 99], [9000, 0]]]}))
    assert (
        "lies outside the slide of 600 x 500 px"
        in run("score", slide, "--out", tmp_path / "o", "--within", away).output
    )


def test_a_report_without_the_quality_mask_is_not_counted_again(slide: Path, tmp_path: Path) -> None:
    assert run("score", slide, "--out", tmp_path, "--qc", "exclude").exit_code == 0
    result = run("recount", tmp_path / "report.json", "--slide", slide, "--out", tmp_path / "again")
    assert result.exit_code == 1
    assert "score the slide again" in result.output
