"""What models found in a slide's tiles, kept for the next analysis with another threshold, roi or Det.

A fast analysis, in which Reg-NS did not look everywhere, shares with fast ones of the same triage model alone.
The numbers of a tile are determined by its patch, the resolution and the models, so they serve every analysis that shares
these. Only for what computes tile by tile: on a GPU batches reach across tiles, and their composition may move the last bits.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from serving import __version__
from serving.core.options import ScoringOptions
from serving.jobs.findings_format import read_findings
from serving.jobs.job import digest
from serving.scoring.batch_sizes import choose_batch_sizes, find_rounding
from serving.scoring.detector import AnyDetector, boxes_card, find_triage_card, list_cards, list_members
from serving.scoring.detector_run import screening_threshold
from serving.scoring.tile_findings import FindingsCache, TileFindings
from serving.scoring.triage import LOOK
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
        members = list(list_members(detector).values())
        threshold = screening_threshold(members[0], options)
        light = find_triage_card(detector) if options.cascade == "fast" else None
        screening = [
            __version__,
            repr(options.mpp if options.mpp is not None else mpp),
            list_cards(detector)[0].model_dump(mode="json"),
            find_rounding(detector.provider),
            options.qc == "off",
            owner,
            None if light is None else [light.model_dump(mode="json"), LOOK],
            *([options.colours] if options.colours != "stored" else []),
        ]
        # Detectors of an ensemble may cut a slide alike, so that patches do not tell their findings apart.
        self._used = (
            len(members) == 1 and settings.keep_tiles == "on" and choose_batch_sizes(detector.provider).tiles == 1
        )
        self._screened = settings.state / TILES / sha256 / digest(screening)[:32]
        self._found = self._screened / digest([boxes_card(members[0]).model_dump(mode="json"), repr(threshold)])[:32]

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
