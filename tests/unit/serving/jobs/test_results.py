from pathlib import Path

import numpy as np
import pytest

from serving.exports import EXPORTS
from serving.jobs.request import models_key, options_from, options_text, request_key
from serving.jobs.results import load_result, save_result
from serving.scoring.analysis import CountingOptions, Options
from serving.scoring.pipeline import score_slide
from serving.store.errors import NotFoundError
from serving.store.shared import OnDisk
from serving.wsi.arrayslide import ArraySlide
from serving.wsi.geometry import parse_roi
from tests.fakes import DotDetector, make_cards, plant, tissue


def test_a_result_comes_back_as_every_export_draws_it(tmp_path: Path) -> None:
    pixels = tissue(1300, 900)
    plant(pixels, 600, 400)
    analysis = score_slide(ArraySlide(pixels, mpp=0.25, name="a.png"), DotDetector())
    save_result(analysis, OnDisk(tmp_path), "one")
    read = load_result(OnDisk(tmp_path), "one", slide_name="a.png")
    for export in (e for e in EXPORTS.values() if not e.needs_slide):
        assert export.render(read) == export.render(analysis), export.file_name
    assert read.quality is not None
    assert analysis.quality is not None
    np.testing.assert_array_equal(read.quality.reasons, analysis.quality.reasons)
    assert (read.quality.step_x, read.quality.step_y) == (analysis.quality.step_x, analysis.quality.step_y)
    assert load_result(OnDisk(tmp_path), "one", slide_name="b.png").report.slide.name == "b.png"
    assert [p.name for p in (tmp_path / "results").iterdir()] == ["one"]
    with pytest.raises(NotFoundError, match="submit"):
        load_result(OnDisk(tmp_path), "two", slide_name="a.png")


def test_a_full_disk_leaves_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = score_slide(ArraySlide(tissue(300, 300), mpp=0.25), DotDetector())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        save_result(analysis, OnDisk(tmp_path), "one")
    assert list((tmp_path / "results").iterdir()) == []


def test_keys_follow_what_determines_a_result() -> None:
    asked = [
        Options(),
        Options(mpp=0.25),
        Options(roi=parse_roi("0,0,9,9")),
        Options(threshold=0.0),
        Options(cascade=False),
        Options(min_tissue_fraction=0.0),
        Options(counting=CountingOptions(hotspot_shape="disc")),
        Options(qc="off"),
    ]
    assert [options_from(options_text(options)) for options in asked] == asked
    assert len({request_key("a", options) for options in asked} | {request_key("b", Options())}) == len(asked) + 1
    cpu, half = "CPUExecutionProvider", "CUDA-fp16"
    key = models_key(list(make_cards()), cpu)
    assert key == models_key(list(make_cards()), "CUDAExecutionProvider")
    assert key != models_key(list(make_cards(detection=0.6)), cpu)
    assert len({key, models_key(list(make_cards()), half), models_key(list(make_cards()), "OpenVINO-bf16")}) == 3
