"""One slide from its file to its analysis, as every worker does it: opened in processes of its own, scored, and gone on with."""

from collections.abc import Sequence
from pathlib import Path

from serving.core.options import ScoringOptions
from serving.isolation.decoders import Decoders
from serving.isolation.slide import open_isolated
from serving.scoring.analysis import Analysis
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.detector import AnyDetector
from serving.scoring.pipeline import score_slide
from serving.scoring.preliminary import Preliminary
from serving.scoring.tile_findings import FindingsCache, TileFindings
from serving.slides.slide import Slide


class SlideRun:
    """What goes with one run of a slide. This one keeps nothing and knows nothing; others override what they need.

    Whatever a method raises ends the run, and is raised by it.
    """

    def count(self, done: int, total: int) -> None:
        """Take down that so many tiles of all are done; called after every tile."""

    def load(self) -> Sequence[TileFindings]:
        """Whole chunks, in order, that an earlier run of the same slide, options and models has kept."""
        return ()

    def keep(self, chunk: Sequence[TileFindings]) -> None:
        """Keep the tiles of a chunk that is finished."""

    def preview(self, known: Preliminary) -> None:
        """Take down what is known so far; called after `keep`, and now and then between."""

    def recall(self, slide: Slide) -> FindingsCache:
        """What analyses with other options found in the tiles of this slide."""
        return FindingsCache()


class SlideRunner:
    """Scores slides, each opened and decoded in processes of its own, with the memory that `decoders` share."""

    def __init__(self, decoders: Decoders) -> None:
        self.decoders = decoders

    def run(
        self, path: Path, detector: AnyDetector, options: ScoringOptions, *, name: str, sha256: str, run: SlideRun
    ) -> Analysis:
        """Score the slide in `path`.

        name : of the slide, for people; sha256 : its hash, which is not computed again

        Raises
        ------
        MitoserveError
            What `open_isolated` and `score_slide` raise.
        """
        lines = choose_batch_sizes(detector.provider).readers
        with open_isolated(self.decoders, path, name=name, sha256=sha256, lines=lines) as slide:
            return score_slide(
                slide,
                detector,
                options,
                on_progress=run.count,
                finished=run.load(),
                on_finished=run.keep,
                on_preliminary=run.preview,
                seen=run.recall(slide),
            )
