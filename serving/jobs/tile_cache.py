"""What models found in a slide's tiles, kept for the next analysis with another threshold, roi or Det.

The numbers of a tile are determined by its patch, the resolution and the models, so they serve every analysis that shares
these. Only for what computes tile by tile: on a GPU batches reach across tiles, and their composition may move the last bits.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from serving import __version__
from serving.core.options import ScoringOptions
from serving.jobs.findings_format import read_findings
from serving.jobs.request import digest
from serving.scoring.batch_sizes import choose_batch_sizes, find_rounding
from serving.scoring.cascade import FindingsCache, TileFindings
from serving.scoring.detector import AnyDetector, boxes_card, list_cards
from serving.scoring.pipeline import screening_threshold
from serving.settings import ServerSettings
from serving.store.places import TILES


class TileCache:
    """Findings of one slide's tiles: files in <slide>/<what determines scores>/<what determines boxes>/."""

    def __init__(
        self,
        settings: ServerSettings,
        sha256: str,
        detector: AnyDetector,
        options: ScoringOptions,
        mpp: float | None,
        *,
        owner: str,
    ) -> None:
        """Prepare the cache of one slide.

        mpp : of the slide; what the options state comes first. owner : whose analyses left it: how quickly one ends would tell
        another owner that somebody else has the slide
        """
        threshold = screening_threshold(detector, options)
        screening = [
            __version__,
            repr(options.mpp if options.mpp is not None else mpp),
            list_cards(detector)[0].model_dump(mode="json"),
            find_rounding(detector.provider),
            options.qc == "off",
            owner,
        ]
        self._used = settings.keep_tiles == "on" and choose_batch_sizes(detector.provider).tiles == 1
        self._screened = settings.state / TILES / sha256 / digest(screening)[:32]
        self._found = self._screened / digest([boxes_card(detector).model_dump(mode="json"), repr(threshold)])[:32]

    def load(self) -> FindingsCache:
        """All that is known; damaged files are deleted."""
        if not self._used:
            return FindingsCache()
        screened = {tile.patch: tile for tile in _tiles(self._screened.glob("*/*.npz"))}
        return FindingsCache({tile.patch: tile for tile in _tiles(self._found.glob("*.npz"))}, screened)

    def keep(self, chunks: Path, name: str, seen: FindingsCache) -> None:
        """Take over the files of finished chunks in `chunks` that hold more than `seen` does.

        name : no other analysis has it. What cannot be kept is computed again some day: nothing is raised.
        """
        if not self._used:
            return
        with contextlib.suppress(OSError):
            for path in sorted(chunks.glob("*.npz")):
                if any(tile.patch not in seen.found for tile in _tiles([path])):
                    self._found.mkdir(mode=0o700, parents=True, exist_ok=True)
                    path.rename(self._found / f"{name}-{path.name}")


def _tiles(paths: Iterable[Path]) -> Iterator[TileFindings]:
    for path in paths:
        yield from read_findings(path) or ()
