"""A slide from its file to its analysis: in processes of its own, and gone on with where it stopped."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from serving.core.options import ScoringOptions
from serving.isolation.decoders import Decoders
from serving.isolation.slide import IsolatedSlide
from serving.scoring import cascade
from serving.scoring.pipeline import score_slide
from serving.scoring.slide_runner import SlideRun, SlideRunner
from serving.scoring.tile_findings import FindingsCache, TileFindings
from serving.slides.arrayslide import ArraySlide
from serving.slides.slide import Slide
from tests.fakes import DotDetector, plant, tissue
from tests.samples import write_picture

PIXELS = tissue(1800, 1500)
for _at in ((300.0, 300.0), (1000.0, 500.0), (1730.0, 1200.0)):
    plant(PIXELS, *_at)
OPTIONS = ScoringOptions(mpp=0.25)


class Recorded(SlideRun):
    """A run that keeps what it is given in memory, and stops where it should."""

    def __init__(self, kept: Sequence[TileFindings] = (), *, stop_at: int | None = None) -> None:
        self.steps: list[tuple[int, int]] = []
        self.slides: list[Slide] = []
        self.kept, self._stop_at = list(kept), stop_at

    def count(self, done: int, total: int) -> None:
        self.steps.append((done, total))
        if done == self._stop_at:
            raise KeyError("stopped")

    def load(self) -> Sequence[TileFindings]:
        return list(self.kept)

    def keep(self, chunk: Sequence[TileFindings]) -> None:
        self.kept.extend(chunk)

    def recall(self, slide: Slide) -> FindingsCache:
        self.slides.append(slide)
        return FindingsCache()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_picture(tmp_path_factory.mktemp("slides") / "a.png", PIXELS)


def figures(decoders: Decoders, path: Path, run: SlideRun, detector: DotDetector | None = None) -> list[object]:
    runner = SlideRunner(decoders)
    analysis = runner.run(path, detector or DotDetector(), OPTIONS, name="a.png", sha256="0" * 64, run=run)
    assert (analysis.report.slide.name, analysis.report.slide.sha256) == ("a.png", "0" * 64)
    return list(analysis.report.detections)


def test_a_slide_is_scored_as_it_is_here_by_processes_of_its_own(decoders: Decoders, path: Path) -> None:
    run = Recorded()
    expected = score_slide(ArraySlide(PIXELS, mpp=0.25, name="a.png"), DotDetector(), OPTIONS).report.detections
    assert len(expected) == 3
    assert figures(decoders, path, run) == list(expected)
    assert figures(decoders, path, SlideRun()) == list(expected)
    (slide,) = run.slides
    assert isinstance(slide, IsolatedSlide)
    assert run.steps == [(n, 4) for n in range(5)]


@pytest.mark.parametrize("stop_at", [0, 1, 2, 3, 4])
def test_wherever_a_run_stops_the_next_goes_on_with_what_was_kept(
    decoders: Decoders, path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    monkeypatch.setattr(cascade, "CHUNK_TILES", 1)
    stopped = Recorded(stop_at=stop_at)
    with pytest.raises(KeyError, match="stopped"):
        figures(decoders, path, stopped)
    again, undisturbed, detector = Recorded(stopped.kept), Recorded(), DotDetector()
    assert figures(decoders, path, again, detector) == figures(decoders, path, undisturbed)
    assert again.steps == undisturbed.steps[len(stopped.kept) :]
    assert len(again.kept) == len(undisturbed.kept) == 4
