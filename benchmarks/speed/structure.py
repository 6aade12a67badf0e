"""What scoring a slide does, counted: bytes read, tiles decoded, copies, batches, calls. Seconds differ between machines, these do not."""

import math
import os
import tracemalloc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.speed.slides import write_slide
from serving.core.detections import Detections
from serving.core.geometry import Region
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.core.report_parts import CascadeMode
from serving.scoring.batch_sizes import AHEAD, DETECT_BATCH, READERS, VERIFY_BATCH
from serving.scoring.pipeline import score_slide
from serving.scoring.tiling import TILE_PX
from serving.slides.formats import check_tiff
from serving.slides.openslides import OpenSlideSlide, open_with_openslide
from serving.slides.resample import Pixels
from tests.fakes import CELL, STRIDE, make_cards, make_triage_card, make_verifier_card
from tests.samples import noise

SIDE, TILES, STORED_PX = 6000, 9, 256
PATCH_BYTES = (TILE_PX + 2 * STRIDE) ** 2 * 3
"""Of the largest patch."""
PASSED = 5
"""Of each tile's sub-tiles that Det is shown."""
CHOSEN = 5
"""Of each tile's sub-tiles that triage chooses, side by side."""
PIECES, PIECES_PX = 2, (4 + 3) * 2 * STRIDE**2
"""How many pieces of three at most those are, and their px."""


@dataclass(slots=True)
class Structure:
    """What was counted while a square of tissue was scored."""

    mode: CascadeMode = "exact"
    tiles: int = 0
    lattice: int = 0
    """Places of sub-tiles in the tissue and around it."""
    screened: int = 0
    screen_calls: int = 0
    screened_px: int = 0
    """That Reg-NS was shown."""
    triage_calls: int = 0
    copied_patches: int = 0
    """Patches that the model got in other memory than the slide gave them in."""
    detected: int = 0
    detect_calls: int = 0
    verified: int = 0
    verify_calls: int = 0
    verified_once: int = 0
    """Candidates of which the verifier was shown one view."""
    plan_bytes: int = 0
    """Read from level 0 before the first patch."""
    patch_bytes: int = 0
    """Read from level 0 for patches."""
    stored_bytes: int = 0
    """That the stored tiles under the patches have, each counted once."""
    openslide_reads: int = 0
    """Of patches, by OpenSlide."""
    peak_patches: float = 0.0
    """Most memory at once, in patches."""


def find_lost(counted: Structure) -> list[str]:
    """What is worse than it was built to be, in words; empty where nothing is."""
    fast = counted.mode == "fast"
    chosen = CHOSEN * counted.tiles
    limits = {
        "calls of triage": (counted.triage_calls, counted.tiles if fast else 0),
        "calls of Reg-NS": (counted.screen_calls, counted.tiles * (PIECES if fast else 1)),
        "sub-tiles screened": (counted.screened, chosen if fast else counted.lattice),
        "px that Reg-NS saw": (
            counted.screened_px,
            counted.tiles * (PIECES_PX if fast else (TILE_PX + 2 * STRIDE) ** 2),
        ),
        # What Reg-NS is shown in pieces is cut out of its patch.
        "patches copied": (counted.copied_patches, counted.tiles * PIECES if fast else 0),
        "calls of Det": (
            counted.detect_calls,
            counted.detected // DETECT_BATCH + counted.tiles,  # no batch reaches across tiles
        ),
        "candidates verified by all views": (
            counted.verified,
            counted.verified_once // 2 if fast else counted.tiles * PASSED,
        ),
        "calls of the verifier": (counted.verify_calls, math.ceil(counted.verified / VERIFY_BATCH)),
        "bytes of level 0 read by the plan": (counted.plan_bytes, 0),
        # Two threads that need one tile at the same time decode it twice.
        "bytes read for patches": (counted.patch_bytes, round(1.3 * counted.stored_bytes)),
        "patches read by OpenSlide": (counted.openslide_reads, 0),
        # Patches in flight and the one that is scored, and the decoded tiles that are kept.
        "patches in memory": (counted.peak_patches, AHEAD + READERS + 1 + 12),
    }
    return [f"{what}: {found:g}, at most {most:g}" for what, (found, most) in limits.items() if found > most]


def count_structure(folder: Path, mode: CascadeMode = "exact") -> Structure:
    """The counts of a generated slide of nine tiles of tissue and a detector that computes nothing."""
    path = folder / "structure.tif"
    write_slide(path, side=SIDE, stored_px=STORED_PX, tiles=TILES, block=noise(1024, 1024))
    counted, options = Structure(mode), ScoringOptions(cascade=mode)
    with open_with_openslide(path, path.name, content=check_tiff(path, path.name)) as slide:
        watch = _Watch(counted, slide)
        with watch.reads():
            tracemalloc.start()
            detector = CountingDetector(counted, watch.given)
            report = score_slide(slide, detector, options, on_progress=watch.progress).report
            counted.peak_patches = tracemalloc.get_traced_memory()[1] / PATCH_BYTES
            tracemalloc.stop()
    counted.tiles = report.tissue.tiles_scored
    counted.lattice = (math.isqrt(counted.tiles) * (TILE_PX // STRIDE) + 1) ** 2
    counted.stored_bytes = sum(watch.level0[offset] for offset in watch.offsets)
    return counted


@dataclass(slots=True)
class CountingDetector:
    """Passes the first few sub-tiles of each tile on to Det, which finds one box in each; triage chooses as many."""

    counted: Structure
    given: deque[Pixels]
    """The last arrays that the slide gave."""
    screening_card: ModelCard = field(default_factory=lambda: make_cards(screening=0.5)[0])
    detection_card: ModelCard = field(default_factory=lambda: make_cards()[1])
    verification_card: ModelCard | None = field(default_factory=lambda: make_verifier_card(first=0.5))
    triage_card: ModelCard | None = field(default_factory=make_triage_card)
    provider: str = "CPUExecutionProvider"

    def triage(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """1 where the first sub-tiles of a tile's second row have their middle, 0 elsewhere."""
        cells = np.zeros((len(tiles), tiles.shape[1] // CELL, tiles.shape[2] // CELL), np.float32)
        cells[:, 2 * STRIDE // CELL, [(2 + n) * STRIDE // CELL for n in range(CHOSEN)]] = 1
        self.counted.triage_calls += 1
        return cells

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """1 for the first few sub-tiles, 0 for the others."""
        scores = np.zeros((len(tiles), tiles.shape[1] // STRIDE - 1, tiles.shape[2] // STRIDE - 1), np.float32)
        scores.reshape(len(tiles), -1)[:, :PASSED] = 1
        self.counted.screen_calls += 1
        self.counted.screened += scores.size
        self.counted.screened_px += tiles.size // 3
        self.counted.copied_patches += not any(np.shares_memory(tiles, pixels) for pixels in list(self.given))
        return scores

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """A box in the middle of each."""
        self.counted.detect_calls += 1
        self.counted.detected += len(sub_tiles)
        box, sure = np.asarray([[110, 110, 140, 140]], np.float32), np.full(1, 0.9, np.float32)
        return [Detections(box, sure, np.zeros(1, np.float32)) for _ in sub_tiles]

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Sure of each."""
        self.counted.verify_calls += 1
        self.counted.verified += len(windows)
        return np.full(len(windows), 0.9, np.float32)

    def verify_once(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Sure of every third, and that the others are none."""
        self.counted.verified_once += len(windows)
        return np.where(np.arange(len(windows)) % 3, 0.01, 0.9).astype(np.float32)


class _Watch:
    """Counts what is read of a slide's level 0, before and after its plan is made."""

    def __init__(self, counted: Structure, slide: OpenSlideSlide) -> None:
        self.counted, self.slide = counted, slide
        self.given: deque[Pixels] = deque(maxlen=AHEAD + READERS)
        self.offsets: set[int] = set()
        with tifffile.TiffFile(slide._path) as tiff:
            page = tiff.pages.first
            self.level0 = dict(zip(page.dataoffsets, page.databytecounts, strict=True))
        self._planned = False

    def progress(self, *_: int) -> None:
        """The first call comes when the plan is made."""
        self._planned = True

    @contextmanager
    def reads(self) -> Iterator[None]:
        """Counts within the context."""
        pread, read, decode = os.pread, self.slide.read, OpenSlideSlide._decode_with_openslide

        def counted_pread(file: int, size: int, offset: int) -> bytes:
            if offset in self.level0 and self._planned:
                self.counted.patch_bytes += size
                self.offsets.add(offset)
            elif offset in self.level0:
                self.counted.plan_bytes += size
            return pread(file, size, offset)

        def noted_read(region: Region, width: int, height: int) -> Pixels:
            pixels = read(region, width, height)
            self.given.append(pixels)
            return pixels

        def counted_decode(slide: OpenSlideSlide, level: int, cut: Region) -> Pixels:
            self.counted.openslide_reads += self._planned
            return decode(slide, level, cut)

        with (
            mock.patch.object(os, "pread", counted_pread),
            mock.patch.object(self.slide, "read", noted_read),
            mock.patch.object(OpenSlideSlide, "_decode_with_openslide", counted_decode),
        ):
            yield
