"""A package that is installed beside Mitoserve adds to it, and one that does not load is named."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from serving.core.options import CountingOptions, ScoringOptions
from serving.exports import write_all
from serving.exports.export import Export, ExportRegistry, whole
from serving.exports.report_json import to_json
from serving.jobs.results import load_result
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.slides.arrayslide import ArraySlide
from serving.store.folder_store import DiskFolderStore
from tests.fakes import DotDetector, plant, tissue

ROOT = Path(__file__).parents[2]
REASONS = ["background", "pen", "bubble", "fold", "blur"]
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
    shutil.copytree(PLUGIN / "mitoserve_example", site / "mitoserve_example")
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
    return _python(site, "-m", "serving.cli", *words)


def _python(site: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
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
    (site / "mitoserve_example" / "line.py").write_text("import nothing_like_it\n")
    done = _mitoserve(site, "export", report, "--to", "geojson")
    assert done.returncode != 0
    assert "the format counts of mitoserve-example (mitoserve_example.line) does not load" in done.stderr


_SCORE = """
import sys
from pathlib import Path
from serving.jobs.results import save_result
from serving.core.options import ScoringOptions
from serving.scoring.pipeline import score_slide
from serving.store.folder_store import DiskFolderStore
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

pixels = tissue(1000, 800)
pixels[:, :400] = (250, 240, 90)
for x in (200, 700):
    plant(pixels, x, 400)
slide = ArraySlide(pixels, mpp=0.25, name="marked.tif")
analysis = score_slide(slide, DotDetector(), ScoringOptions(qc=sys.argv[1]))
print(save_result(analysis, DiskFolderStore(Path(sys.argv[2])), sys.argv[1]))
"""


def _scored(site: Path, kept: Path, qc: str) -> Analysis:
    """A slide with ink of a highlighter on its left, scored beside what is installed at `site` and read back without it."""
    done = _python(site, "-c", _SCORE, qc, kept)
    assert done.returncode == 0, done.stderr
    return load_result(DiskFolderStore(kept), done.stdout.strip(), slide_name="marked.tif")


def test_an_installed_package_adds_a_quality_check(tmp_path: Path) -> None:
    site, kept = _installed(tmp_path / "site"), tmp_path / "kept"
    stated, without = _scored(site, kept, "report"), _scored(tmp_path / "nowhere", kept, "report")
    assert stated.report.quality is not None
    assert without.report.quality is not None
    assert [area.reason for area in stated.report.quality.areas] == [*REASONS, "highlighter"]
    assert [area.reason for area in without.report.quality.areas] == REASONS
    assert stated.report.quality.areas[-1].tissue_mm2 == pytest.approx(400 * 800 * (0.25 / 1000) ** 2, rel=0.05)
    assert "hardly any green" in stated.report.quality.methods["highlighter"]
    assert stated.report.quality.figures_masked == 1
    assert any("highlighter" in warning for warning in stated.report.warnings)
    assert stated.report.analysis_id != without.report.analysis_id
    assert recount(stated, CountingOptions()).report == stated.report
    assert stated.quality is not None
    assert stated.quality.where("highlighter").any()
    excluded = _scored(site, kept, "exclude").report
    assert excluded.counts.mitotic_figures == stated.report.counts.mitotic_figures - 1 == 1


def test_a_quality_check_that_does_not_load_is_named(tmp_path: Path) -> None:
    site = _installed(tmp_path / "site")
    (site / "mitoserve_example" / "highlighter.py").write_text("import nothing_like_it\n")
    done = _python(site, "-c", _SCORE, "report", tmp_path)
    assert "the quality check highlighter of mitoserve-example" in done.stderr


_RELEASE = """
import sys
from pathlib import Path
from serving.core.errors import MitoserveError
from serving.registry.registry import ModelRegistry
from serving.settings import ServerSettings
from serving.store.database import open_database
from tests.fakes import make_verifier_card
from tests.quick_models import quick_light, write_quick_model, write_quick_models

root = Path(sys.argv[1])
settings = ServerSettings(
    models=write_quick_models(root / "models"), state=root / "state", providers=("CPUExecutionProvider",), model_window_s=600
)
card = make_verifier_card().model_dump() | {"name": "tumour", "output": "tumour"}
card |= {"detection_threshold": None, "candidate_probability": None}
card = type(make_verifier_card()).model_validate(card)
database = open_database(settings)
registry = ModelRegistry(settings, database)
added = registry.add(write_quick_model(root / "new", card, quick_light("tumour"), window=64))
wrong = card.model_copy(update={"version": "0.0.2"})
try:
    registry.add(write_quick_model(root / "new", wrong, quick_light("probabilities"), window=64))
except MitoserveError as error:
    print(error)
registry.promote(["reg-ns@0.0.1", "det@0.0.1", "tumour@0.0.1"], "shell:test")
print(*[model.label for model in registry.serving()])
print(*[found.parity for found in registry.check([added], again=True)])
detector = registry.load(registry.serving())
print(detector.detection_card.name, detector.verification_card)
registry.promote(["reg-ns@0.0.1", "det@0.0.1"], "shell:test")
print(*[model.label for model in registry.serving()])
database.close()
"""


def test_an_installed_package_adds_a_model_role(tmp_path: Path) -> None:
    """A model of it is checked by its contract, kept and promoted beside the others, and the cascade does not run it."""
    done = _python(_installed(tmp_path / "site"), "-c", _RELEASE, tmp_path)
    assert done.returncode == 0, done.stderr
    refused, *said = done.stdout.splitlines()
    assert "model tumour 0.0.2 breaks the serving contract: outputs are" in refused
    assert said == [
        "reg-ns@0.0.1 det@0.0.1 tumour@0.0.1",
        "{'tumour': 0.0}",
        "det None",
        "reg-ns@0.0.1 det@0.0.1",
    ]


_OPEN = """
import io
import json
import sys
import zipfile
from pathlib import Path
import numpy as np
from serving.cohort.listing import manifest_at
from serving.slides.opening import open_slide
from serving.slides.slidefiles import slide_files
from tests.fakes import plant, tissue
from tests.services import bring, kind, serving, submit, wait_for_end

root = Path(sys.argv[1])
folder = root / "fields"
folder.mkdir()
pixels = tissue(1000, 800)
plant(pixels, 500, 400)
np.save(folder / "field.npy", pixels)
(folder / "field.json").write_text(json.dumps({"mpp": 0.25}))
(folder / "notes.json").write_text("{}")
packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    for path in folder.iterdir():
        archive.write(path, path.name)

with open_slide(folder / "field.npy") as slide:
    print(slide.vendor, slide.width, slide.height, slide.mpp)
    own = slide.sha256
print(*slide_files(folder).names)
print(*[Path(entry.source).name for entry in manifest_at(str(folder)).entries])
with serving(root / "state") as client:
    alone = client.post("/v1/slides", files={"slide": ("field.npy", (folder / "field.npy").read_bytes())})
    print(alone.status_code, kind(alone))
    slide = bring(client, packed.getvalue(), "field.zip")
    print(slide == own, client.get("/v1/slides").json()["slides"][0]["name"])
    analysis = submit(client, slide, options={})["id"]
    print(wait_for_end(client, analysis)["state"])
    report = client.get(f"/v1/analyses/{analysis}/report").json()
    print(report["slide"]["vendor"], report["counts"]["mitotic_figures"])
"""


def test_an_installed_package_adds_a_slide_reader(tmp_path: Path) -> None:
    """A slide of its kind is opened, listed, uploaded, and scored through a decoder process."""
    done = _python(_installed(tmp_path / "site"), "-c", _OPEN, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "numpy 1000 800 0.25",
        "field.json field.npy",
        "field.npy",
        "415 unsupported-format",
        "True field.npy",
        "succeeded",
        "numpy 1",
    ]


@pytest.mark.parametrize("path", sorted(PLUGIN.rglob("*.py")), ids=lambda path: path.stem)
def test_the_page_shows_the_package_as_it_is(path: Path) -> None:
    if path.name != "__init__.py":
        assert f"```python\n{path.read_text()}```" in (ROOT / "docs" / "plugins.md").read_text()


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
