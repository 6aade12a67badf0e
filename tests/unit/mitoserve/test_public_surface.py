"""The public names of `mitoserve`: exactly these, found under their names, and loaded only when they are used."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import mitoserve
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

PUBLIC = {
    "AsyncClient": "serving.client",
    "Client": "serving.client",
    "ClientError": "serving.client",
    "Detector": "serving.scoring",
    "MitoserveError": "serving",
    "Report": "serving.core.report",
    "Slide": "serving.slides",
    "open_slide": "serving.slides.opening",
    "score": "mitoserve.scoring",
}
"""Adding a name is a decision; removing one breaks users (docs/versioning.md)."""


def test_exports_the_public_names_and_no_others() -> None:
    assert set(mitoserve.__all__) == {*PUBLIC, "__version__"}
    assert set(dir(mitoserve)) == set(mitoserve.__all__)


@pytest.mark.parametrize(("name", "package"), PUBLIC.items())
def test_every_name_is_there_and_documented(name: str, package: str) -> None:
    member = getattr(mitoserve, name)
    assert member.__name__ == name
    assert member.__module__.startswith(package)
    assert member.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mitoserve' has no attribute 'scoer'"):
        _ = mitoserve.scoer


@pytest.mark.parametrize("package", ["mitoserve", "serving", "training"])
def test_packages_state_that_they_are_typed(package: str) -> None:
    assert resources.files(package).joinpath("py.typed").is_file()


def test_import_loads_no_library() -> None:
    code = "import sys, mitoserve; print([name for name in ('numpy', 'onnxruntime', 'pydantic', 'httpx') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_score_takes_an_open_slide_and_a_detector(tmp_path: Path) -> None:
    pixels = tissue(1000, 800)
    plant(pixels, 300, 300)
    with ArraySlide(pixels, mpp=0.25, name="field") as slide:
        report = mitoserve.score(slide, detector=DotDetector(), out=tmp_path / "results")
    assert report.counts.mitotic_figures == 1
    assert mitoserve.Report.model_validate_json((tmp_path / "results" / "report.json").read_bytes()) == report


def test_score_takes_region_threshold_and_resolution() -> None:
    pixels = tissue(1000, 800)
    plant(pixels, 300, 300)
    plant(pixels, 700, 500, side=16)
    slide, detector = ArraySlide(pixels, mpp=None, name="field"), DotDetector()
    with pytest.raises(mitoserve.MitoserveError, match="microns per pixel"):
        mitoserve.score(slide, detector=detector)
    figures = [
        mitoserve.score(slide, detector=detector, mpp=0.25, **options).counts.mitotic_figures
        for options in ({}, {"roi": "500,300,400,400"}, {"roi": "0,0,250,250"}, {"threshold": 0.1})
    ]
    assert figures == [1, 0, 0, 2]


def test_score_opens_a_path(tmp_path: Path) -> None:
    path = tmp_path / "field.npy"
    np.save(path, tissue(10, 10))
    with pytest.raises(mitoserve.MitoserveError, match=r"field\.npy"):
        mitoserve.score(str(path), detector=DotDetector())
