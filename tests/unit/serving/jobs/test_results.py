import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.geometry import parse_roi
from serving.core.options import CountingOptions, ScoringOptions
from serving.exports import EXPORTS
from serving.jobs.job import ResultLostError, decode_options, models_key, options_text, request_key
from serving.jobs.results import load_result, read_report, save_result
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from serving.store.folder_store import DiskFolderStore
from tests.fakes import DotDetector, make_cards, plant, tissue


def test_a_result_comes_back_as_every_export_draws_it(tmp_path: Path) -> None:
    pixels = tissue(1300, 900)
    plant(pixels, 600, 400)
    analysis = score_slide(ArraySlide(pixels, mpp=0.25, name="a.png"), DotDetector())
    name = save_result(analysis, DiskFolderStore(tmp_path), "one")
    assert name.startswith("one-")
    read = load_result(DiskFolderStore(tmp_path), name, slide_name="a.png")
    for export in (e for e in EXPORTS.values() if not e.needs_slide):
        assert export.render(read) == export.render(analysis), export.file_name
    assert read.quality is not None
    assert analysis.quality is not None
    np.testing.assert_array_equal(read.quality.reasons, analysis.quality.reasons)
    assert (read.quality.step_x, read.quality.step_y) == (analysis.quality.step_x, analysis.quality.step_y)
    assert load_result(DiskFolderStore(tmp_path), name, slide_name="b.png").report.slide.name == "b.png"
    assert [p.name for p in (tmp_path / "results").iterdir()] == [name]
    with pytest.raises(ResultLostError, match="submit"):
        load_result(DiskFolderStore(tmp_path), "two", slide_name="a.png")


class Stored:
    """A result, and its files as they were written."""

    def __init__(self, root: Path) -> None:
        pixels = tissue(600, 500)
        plant(pixels, 300, 200)
        analysis = score_slide(ArraySlide(pixels, mpp=0.25, name="a.png"), DotDetector())
        self.kept = DiskFolderStore(root)
        self.name = save_result(analysis, self.kept, "one-7", more={"pair.json": b"{}"})
        self.folder = root / "results" / self.name
        self.files = {path: path.read_bytes() for path in sorted(self.folder.iterdir())}

    def load(self) -> Analysis:
        return load_result(self.kept, self.name, slide_name="a.png")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("stored"))


@given(data=st.data())
def test_any_changed_bit_of_a_result_is_noticed(stored: Stored, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(stored.files)))
    content = bytearray(stored.files[path])
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))
    try:
        with pytest.raises(ResultLostError, match="submit the same analysis again"):
            stored.load()
    finally:
        path.write_bytes(stored.files[path])
    stored.load()


def test_a_result_without_one_of_its_files_or_in_anothers_place_is_noticed(stored: Stored) -> None:
    for path, content in stored.files.items():
        path.unlink()
        with pytest.raises(ResultLostError):
            stored.load()
        path.write_bytes(content)
    other = save_result(
        score_slide(ArraySlide(tissue(300, 300), mpp=0.25), DotDetector()),
        stored.kept,
        "two-8",
        more={"pair.json": b""},
    )
    for path in stored.files:
        path.write_bytes((stored.folder.with_name(other) / path.name).read_bytes())
    with pytest.raises(ResultLostError):
        stored.load()
    for path, content in stored.files.items():
        path.write_bytes(content)
    stored.load()


def test_a_report_is_read_without_the_rasters_beside_it(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    report, read, names = stored.load().report, Path.read_bytes, list[str]()

    def note(path: Path) -> bytes:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", note)
    assert read_report(stored.kept, stored.name) == report
    assert "report.json" in names
    assert not any(name.endswith(".npz") for name in names)


def test_a_result_that_the_disk_cannot_read_is_lost_and_one_that_cannot_be_opened_now_is_not(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, raised in ((errno.EIO, ResultLostError), (errno.EMFILE, OSError)):

        def failing(_: Path, number: int = number) -> bytes:
            raise OSError(number, "")

        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_bytes", failing)
            with pytest.raises(raised):
                stored.load()


def test_a_result_of_an_earlier_release_has_no_checksum_and_is_read(stored: Stored) -> None:
    former = stored.folder.with_name("one-7")
    shutil.copytree(stored.folder, former)
    (former / "SHA256SUMS").unlink()
    assert load_result(stored.kept, "one-7", slide_name="a.png").report == stored.load().report
    (former / "report.json").write_bytes(b"{")
    with pytest.raises(ResultLostError):
        load_result(stored.kept, "one-7", slide_name="a.png")


def test_a_full_disk_leaves_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = score_slide(ArraySlide(tissue(300, 300), mpp=0.25), DotDetector())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        save_result(analysis, DiskFolderStore(tmp_path), "one")
    assert list((tmp_path / "results").iterdir()) == []


def test_keys_follow_what_determines_a_result() -> None:
    asked = [
        ScoringOptions(),
        ScoringOptions(mpp=0.25),
        ScoringOptions(roi=parse_roi("0,0,9,9")),
        ScoringOptions(threshold=0.0),
        ScoringOptions(cascade="off"),
        ScoringOptions(min_tissue_fraction=0.0),
        ScoringOptions(counting=CountingOptions(hotspot_shape="disc")),
        ScoringOptions(qc="off"),
    ]
    assert [decode_options(options_text(options)) for options in asked] == asked
    assert (
        len({request_key("a", options) for options in asked} | {request_key("b", ScoringOptions())}) == len(asked) + 1
    )
    cpu, half = "CPUExecutionProvider", "CUDA-fp16"
    key = models_key(list(make_cards()), cpu)
    assert key == models_key(list(make_cards()), "CUDAExecutionProvider")
    assert key != models_key(list(make_cards(detection=0.6)), cpu)
    assert len({key, models_key(list(make_cards()), half), models_key(list(make_cards()), "OpenVINO-bf16")}) == 3
