"""What is known of a slide's tiles serves the next analysis: the same numbers, with nothing read or computed again."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.core.geometry import Region, Roi
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.jobs.checkpoints import Checkpoints
from serving.jobs.tile_cache import TileCache
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.scoring.tile_findings import FindingsCache, TileFindings
from serving.settings import ServerSettings
from serving.slides.arrayslide import ArraySlide
from serving.store.folder_store import DiskFolderStore
from serving.store.slides import SlideStore
from tests.fakes import DotDetector, TriagedDots, make_triage_card, plant, tissue
from tests.unit.serving.store.test_slides import add

SLIDE = "a" * 64


class Read(ArraySlide):
    """Counts the patches that are read of it."""

    patches = 0

    def read(self, region: Region, width: int, height: int) -> NDArray[np.uint8]:
        self.patches += region.width >= 1000
        return super().read(region, width, height)


def rectangle(x: int, y: int, width: int, height: int) -> Roi:
    return Roi(((x, y), (x + width, y), (x + width, y + height), (x, y + height)))


@dataclass
class Server:
    """A slide and what a worker keeps of it."""

    state: Path
    slide: Read
    detector: DotDetector = field(default_factory=DotDetector)
    analyses: int = 0

    def score(self, **options: Any) -> tuple[Analysis, DotDetector, int]:
        """The analysis, what was asked of the detector for it, and how many patches were read."""
        self.analyses += 1
        chosen, patches = ScoringOptions(**options), self.slide.patches
        detector = replace(self.detector, screened=0, detected=0)
        cache = TileCache(ServerSettings(state=self.state), SLIDE, detector, chosen, self.slide.mpp, owner="lab")
        checkpoints, seen = Checkpoints(DiskFolderStore(self.state), f"{self.analyses}", "key"), cache.load()
        analysis = score_slide(self.slide, detector, chosen, on_finished=checkpoints.save, seen=seen)
        cache.keep(checkpoints.folder, f"{self.analyses}", seen)
        return analysis, detector, self.slide.patches - patches


@pytest.fixture
def server(tmp_path: Path) -> Server:
    pixels = tissue(3000, 2000)
    for x, y in ((437, 937), (1050, 1050), (2500, 400)):
        plant(pixels, x, y)
    return Server(tmp_path, Read(pixels, mpp=0.25))


def _alike(a: Analysis, b: Analysis) -> bool:
    def told(report: Report) -> dict[str, Any]:
        return report.model_dump(exclude={"timing", "software"})

    return told(a.report) == told(b.report) and np.array_equal(
        a.mitosis_map.scores, b.mitosis_map.scores, equal_nan=True
    )


def test_another_threshold_reads_and_computes_nothing_of_the_tiles(server: Server) -> None:
    server.score()
    again, asked, read = server.score(threshold=0.99)
    assert (asked.screened, asked.detected, read) == (0, 0, 0)
    assert _alike(again, score_slide(server.slide, DotDetector(), ScoringOptions(threshold=0.99)))


def test_an_roi_needs_only_tiles_whose_neighbours_differ(server: Server) -> None:
    first, _, _ = server.score()
    roi = rectangle(0, 0, 2000, 2000)
    again, asked, read = server.score(roi=roi)
    assert len(again.report.tiles) < len(first.report.tiles)
    assert (asked.screened, read) == (0, 0)  # tiles to the right do not change what a tile owns
    assert _alike(again, score_slide(server.slide, DotDetector(), ScoringOptions(roi=roi)))
    roi = rectangle(1000, 0, 2000, 2000)
    again, asked, read = server.score(roi=roi)
    assert (asked.screened > 0, read) == (True, 2)  # those whose left neighbour is not scored this time
    assert _alike(again, score_slide(server.slide, DotDetector(), ScoringOptions(roi=roi)))


def test_another_det_reads_only_where_something_passes_the_screening(server: Server) -> None:
    server.score()
    server.detector = DotDetector()
    card = server.detector.detection_card
    server.detector.detection_card = card.model_copy(update={"version": "9.9.9"})
    again, asked, read = server.score()
    passed = {t.max_score is not None and t.max_score >= 0.5 for t in again.report.tiles}
    assert passed == {True, False}
    assert asked.screened == 0
    assert 0 < read < len(again.report.tiles)
    assert asked.detected > 0
    assert again.report.counts == score_slide(server.slide, DotDetector(), ScoringOptions()).report.counts


def test_other_resolutions_quality_and_screening_share_nothing(server: Server) -> None:
    server.score()
    for options in ({"mpp": 0.26}, {"qc": "off"}):
        _, asked, read = server.score(**options)
        assert asked.screened > 0
        assert read == len(server.score()[0].report.tiles)
    _, asked, _ = server.score(cascade="off")
    assert asked.screened == 0  # the scores are the same
    assert asked.detected > 64 * 5
    card = server.detector.screening_card
    server.detector.screening_card = card.model_copy(update={"version": "9.9.9"})
    assert server.score()[1].screened > 0


def test_fast_analyses_share_with_fast_ones_of_the_same_light_net_alone(server: Server) -> None:
    server.detector = TriagedDots()
    exact, asked, _ = server.score()
    everywhere = asked.screened
    fast, asked, read = server.score(cascade="fast")
    assert 0 < asked.screened < everywhere
    assert read == len(fast.report.tiles)
    again, asked, read = server.score(cascade="fast", threshold=0.99)
    assert (asked.screened, asked.detected, read) == (0, 0, 0)
    options = ScoringOptions(cascade="fast", threshold=0.99)
    assert _alike(again, score_slide(server.slide, TriagedDots(), options))
    assert again.mitosis_map.triage is not None
    assert server.score(cascade="off")[1].screened == 0  # of the exact one, whose scores are the same
    assert _alike(server.score()[0], exact)
    server.detector = TriagedDots(triage_card=make_triage_card(threshold=0.1))
    assert server.score(cascade="fast")[1].screened > 0


def test_damaged_files_are_computed_again(server: Server) -> None:
    first, _, _ = server.score()
    for path in (server.state / "tiles" / SLIDE).rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    again, asked, _ = server.score()
    assert asked.screened > 0
    assert _alike(again, first)
    assert server.score()[1].screened == 0


@pytest.mark.parametrize("place", ["zip method", "scores", "checksum"])
def test_files_with_one_changed_byte_are_computed_again(server: Server, place: str) -> None:
    first, _, _ = server.score()
    for path in (server.state / "tiles" / SLIDE).rglob("*.npz"):
        data = bytearray(path.read_bytes())
        at = {"zip method": data.rindex(b"PK\x01\x02") + 10, "scores": len(data) // 3, "checksum": len(data) - 1}
        data[at[place]] ^= 0x40
        path.write_bytes(bytes(data))
    again, asked, _ = server.score()
    assert asked.screened > 0
    assert _alike(again, first)
    assert server.score()[1].screened == 0


def test_what_is_known_is_not_kept_twice(server: Server) -> None:
    def kept() -> list[Path]:
        return sorted((server.state / "tiles" / SLIDE).rglob("*.npz"))

    server.score()
    once = kept()
    server.score(threshold=0.5)
    assert kept() == once


def test_nothing_is_kept_where_an_operator_says_so(server: Server) -> None:
    settings = ServerSettings(keep_tiles="off", state=server.state)
    server.score()
    assert TileCache(settings, SLIDE, server.detector, ScoringOptions(), 0.25, owner="lab").load() == FindingsCache()


def test_gpus_whose_batches_reach_across_tiles_keep_nothing(server: Server) -> None:
    server.detector.provider = "CUDAExecutionProvider"
    cache = TileCache(ServerSettings(state=server.state), SLIDE, server.detector, ScoringOptions(), 0.25, owner="lab")
    finished: list[TileFindings] = []

    def keep(chunk: Sequence[TileFindings]) -> None:
        finished.extend(chunk)

    score_slide(server.slide, DotDetector(), on_finished=keep)
    checkpoints = Checkpoints(DiskFolderStore(server.state), "gpu", "key")
    checkpoints.save(finished)
    cache.keep(checkpoints.folder, "gpu", FindingsCache())
    assert cache.load() == FindingsCache()
    assert not (server.state / "tiles").exists()


def test_tiles_of_a_slide_go_with_it(store: SlideStore, tmp_path: Path) -> None:
    slide = add(store, tmp_path, 1)
    (store.settings.state / "tiles" / slide.sha256).mkdir(parents=True)
    store.remove(slide.sha256, owner="ann")
    assert list((store.settings.state / "tiles").iterdir()) == []
