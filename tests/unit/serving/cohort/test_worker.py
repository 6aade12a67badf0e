"""A worker in this process: it scores, keeps, and says what is wrong with a slide."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from serving.cohort.cohort import model_files
from serving.cohort.layout import list_folder, read_report, report_name
from serving.cohort.manifest import ManifestEntry, make_slide_id
from serving.cohort.scratch import common_folder
from serving.cohort.sources import stat_sources
from serving.cohort.storage import open_storage
from serving.cohort.worker import SlideOutcome, SlideTask, SlideWorker, WorkOrder
from serving.core.errors import StorageError
from serving.core.options import ScoringOptions
from serving.isolation.limits import DecoderLimits
from serving.scoring.loading import load_detector
from serving.scoring.models import newest_release
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.dicom import write_dicom_slide
from tests.dicomweb_server import archive
from tests.quick_models import write_quick_models
from tests.samples import noise, write_pyramid, write_truncated

Make = Callable[..., SlideWorker]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for all tests: each brings slides of its own."""
    return str(tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def make(models: Path, out: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    folder = tmp_path_factory.mktemp("scratch")
    made: list[SlideWorker] = []

    def worker(root: Path = models, **changes: object) -> SlideWorker:
        order = replace(WorkOrder(out, ScoringOptions()), **changes)  # type: ignore[arg-type]
        made.append(SlideWorker(order, model_files(newest_release(root))))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MITOSIS_SCRATCH", str(folder))
        patch.setattr("serving.scoring.batch_sizes._most", [])
        yield worker
        for one in made:
            one.close()
        assert not any(folder.iterdir())


@pytest.fixture(scope="module")
def worker(make: Make) -> SlideWorker:
    return make()


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_pyramid(tmp_path / "a.tif", noise(600, 500))


def task(path: Path | str, out: str, **changes: object) -> SlideTask:
    entry = replace(ManifestEntry(make_slide_id(str(path)), str(path)), **changes)  # type: ignore[arg-type]
    (facts,) = stat_sources([entry.source])
    return SlideTask(entry, facts, list_folder(open_storage(out), "reports").get(f"{entry.id}.json.gz"))


def problem(outcome: SlideOutcome) -> tuple[str, bool]:
    assert outcome.state == "failed"
    assert outcome.problem is not None
    return outcome.problem.kind, outcome.problem.passing


def test_a_report_is_what_scoring_the_slide_alone_gives(
    worker: SlideWorker, slide: Path, models: Path, out: str
) -> None:
    outcome = worker.score(task(slide, out))
    assert outcome.state == "scored"
    with open_slide(slide) as opened:
        alone = score_slide(opened, load_detector(models)).report
    kept = read_report(open_storage(out), make_slide_id(str(slide)))
    assert kept is not None
    assert kept.model_dump(exclude={"timing", "software"}) == alone.model_dump(exclude={"timing", "software"})
    assert outcome.tiles == alone.tissue.tiles_scored > 0
    assert worker.tiles() == 0


def test_workers_on_one_machine_share_the_memory_of_their_decoders(
    make: Make, slide: Path, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker waits while another has all of it, and goes on when that gives it back."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("MITOSIS_DECODERS_MEMORY_BYTES", str(DecoderLimits().opening_bytes))
    first, second = make(), make()
    budget = first._runner.decoders.budget
    assert budget is not None
    held = budget.reserve(budget.total)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(second.score, task(slide, out))
        with pytest.raises(TimeoutError):
            waiting.result(timeout=1)
        held.release()
        assert waiting.result().state == "scored"


def test_a_common_folder_of_somebody_elses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = common_folder("a")
    assert common_folder("a") == place != common_folder("b")
    place.chmod(0o777)
    with pytest.raises(StorageError, match="closed to others"):
        common_folder("a")
    place.rmdir()
    place.symlink_to(tmp_path)
    with pytest.raises(StorageError, match="closed to others"):
        common_folder("a")


def test_a_slide_is_scored_once(worker: SlideWorker, make: Make, slide: Path, out: str) -> None:
    first = worker.score(task(slide, out))
    before = open_storage(out).get(report_name(first.slide))
    assert worker.score(task(slide, out)).state == "kept"
    assert make().score(task(slide, out)).state == "kept"
    assert open_storage(out).get(report_name(first.slide)) == before


@pytest.mark.parametrize("change", [{"mpp": 0.26}, {"roi": "0,0,300,300"}])
def test_a_slide_is_scored_again_for_another_question(
    worker: SlideWorker, slide: Path, out: str, change: dict[str, object]
) -> None:
    worker.score(task(slide, out))
    assert worker.score(task(slide, out, **change)).state == "scored"
    assert worker.score(task(slide, out, **change)).state == "kept"


def test_or_by_other_options_or_models(worker: SlideWorker, make: Make, slide: Path, out: str, tmp_path: Path) -> None:
    worker.score(task(slide, out))
    assert make(options=ScoringOptions(threshold=0.9)).score(task(slide, out)).state == "scored"
    other = write_quick_models(tmp_path / "other", scale=30)
    assert make(other).score(task(slide, out)).state == "scored"


def test_or_where_the_report_is_damaged(worker: SlideWorker, slide: Path, out: str) -> None:
    results = open_storage(out)
    name = report_name(worker.score(task(slide, out)).slide)
    whole = results.get(name)
    assert whole is not None
    results.put(name, whole[:-20])
    assert worker.score(task(slide, out)).state == "scored"
    assert worker.score(task(slide, out)).state == "kept"


def test_or_where_there_is_another_slide_of_that_name(worker: SlideWorker, slide: Path, out: str) -> None:
    worker.score(task(slide, out))
    future = slide.stat().st_mtime + 1000
    os.utime(slide, (future, future))
    assert worker.score(task(slide, out)).state == "kept"  # newer than its report, but the same
    write_pyramid(slide, noise(600, 500, seed=5))
    os.utime(slide, (future, future))
    assert worker.score(task(slide, out)).state == "scored"


def test_other_formats_are_written_before_the_report(worker: SlideWorker, make: Make, slide: Path, out: str) -> None:
    more = make(formats=("geojson", "tiff"))
    worker.score(task(slide, out))
    assert more.score(task(slide, out)).state == "scored"
    assert more.score(task(slide, out)).state == "kept"
    files = list_folder(open_storage(out), f"files/{make_slide_id(str(slide))}")
    assert set(files) == {"detections.geojson", "mitosis-map.tif"}


def test_what_is_wrong_with_a_slide_has_the_server_s_names(
    worker: SlideWorker, slide: Path, out: str, tmp_path: Path
) -> None:
    (tmp_path / "text.svs").write_text("no slide")
    (tmp_path / "empty.svs").write_bytes(b"")
    cut = write_truncated(tmp_path / "cut.tif", slide)
    unsaid = write_pyramid(tmp_path / "unsaid.tif", noise(600, 600), mpp=None)
    for path, kind in [
        (tmp_path / "none.svs", "not-found"),
        (tmp_path / "text.svs", "unsupported-format"),
        (tmp_path / "empty.svs", "empty-upload"),
        (cut, "unreadable-slide"),
        (unsaid, "missing-mpp"),
    ]:
        assert problem(worker.score(task(path, out))) == (kind, False), path
    assert problem(worker.score(task(slide, out, roi="5000,5000,10,10"))) == ("roi-outside-slide", False)
    assert worker.score(task(unsaid, out, mpp=0.25)).state == "scored"
    assert all(
        read_report(open_storage(out), make_slide_id(str(path))) is None for path in (tmp_path / "text.svs", cut)
    )


def test_a_result_that_finds_no_room_may_be_tried_again(
    worker: SlideWorker, slide: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        assert problem(worker.score(task(slide, out))) == ("disk-full", True)
    assert read_report(open_storage(out), make_slide_id(str(slide))) is None
    assert worker.score(task(slide, out)).state == "scored"


def test_whatever_else_happens_is_told_and_may_be_tried_again(
    worker: SlideWorker, slide: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.scoring.slide_runner.score_slide", lambda *_, **__: np.zeros(1)[2])
    assert problem(worker.score(task(slide, out))) == ("internal-error", True)


def test_slides_of_a_bucket_and_of_an_archive_are_fetched(
    worker: SlideWorker, slide: Path, out: str, tmp_path: Path
) -> None:
    root = f"memory:///{uuid4().hex}"
    open_storage(root).put("a.tif", slide.read_bytes())
    with archive() as server:
        series = f"dicomweb+{server.add(write_dicom_slide(tmp_path / 'dicom', noise(600, 500), mpp=0.25))}"
        assert worker.score(task(f"{root}/a.tif", out), series).state == "scored"
        assert worker.score(task(series, out)).state == "scored"
        assert len(server.requests) == 1
    assert worker.score(task(f"{root}/a.tif", out)).state == "kept"
    report = read_report(open_storage(out), make_slide_id(series))
    assert report is not None
    assert report.slide.name == series.rpartition("/")[2]
    assert report.slide.vendor == "dicom"
