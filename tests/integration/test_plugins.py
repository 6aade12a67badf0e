"""A package that is installed beside Mitoserve adds a format to it, and one that does not load is named."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from serving.exports import write_all
from serving.exports.export import Export, ExportRegistry, whole
from serving.exports.report_json import to_json
from serving.scoring.options import ScoringOptions
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a slide with one figure, as `mitoserve score` leaves it."""
    pixels = tissue(600, 500)
    plant(pixels, 300, 250)
    analysis = score_slide(ArraySlide(pixels, mpp=0.25, name="dot.tif"), DotDetector(), ScoringOptions())
    folder = tmp_path_factory.mktemp("results")
    write_all(analysis, folder)
    return folder / "report.json"


def _installed(site: Path) -> Path:
    """The plug-in as an installer leaves it: its package, and what its pyproject.toml states as metadata."""
    stated = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    shutil.copytree(PLUGIN / "mitoserve_counts", site / "mitoserve_counts")
    metadata = site / f"{stated['name'].replace('-', '_')}-{stated['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {stated['name']}\nVersion: {stated['version']}\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())])
        for group, entries in stated["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups) + "\n")
    return site


def _mitoserve(site: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serving.cli", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)]), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_installed_package_adds_a_format(report: Path, tmp_path: Path) -> None:
    site = _installed(tmp_path)
    done = _mitoserve(site, "export", report, "--to", "counts")
    assert done.returncode == 0, done.stderr
    counted = json.loads(report.read_text())["counts"]["mitotic_figures"]
    name, figures, _, use = (report.parent / "counts.txt").read_text().rstrip("\n").split("\t")
    assert (name, int(figures)) == ("dot.tif", counted)
    assert "Research Use Only" in use
    assert "counts" not in _mitoserve(tmp_path / "nowhere", "export", "--help").stdout.split("Format")[0]


def test_a_package_that_does_not_load_is_named(report: Path, tmp_path: Path) -> None:
    site = _installed(tmp_path)
    (site / "mitoserve_counts" / "line.py").write_text("import nothing_like_it\n")
    done = _mitoserve(site, "export", report, "--to", "geojson")
    assert done.returncode != 0
    assert "the format counts of mitoserve-counts (mitoserve_counts.line) does not load" in done.stderr


def test_two_formats_that_nobody_could_tell_apart_are_refused() -> None:
    formats = ExportRegistry("format")
    formats.add("one", Export("a.json", "json", "application/json", whole(to_json), rank=2))
    for clash in (
        Export("b.json", "json", "application/other", whole(to_json)),
        Export("b.json", "b.json", "application/json", whole(to_json)),
    ):
        with pytest.raises(ValueError, match="one and two share"):
            formats.add("two", clash)
    with pytest.raises(ValueError, match="two formats called one"):
        formats.add("one", Export("c", "c", "application/c", whole(to_json)))
    formats.add("first", Export("c", "c", "application/c", whole(to_json), rank=1))
    assert list(formats) == ["first", "one"]
