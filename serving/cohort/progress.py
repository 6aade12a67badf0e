"""How far a cohort is, for people: a bar on a terminal, a line now and then in a log."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from serving.cohort.cohort import WorkerPoolSize
from serving.cohort.ledger import CohortTally
from serving.console import text_column

LINE_S = 30.0
"""Between lines where there is no terminal."""


class ShownProgress:
    """See `ProgressListener`; to be used as a context."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._bar = Progress(
            text_column("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("slides"),
            TimeElapsedColumn(),
            text_column("{task.fields[said]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None, said="")
        self._started = self._line = clock()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def began(self, tally: CohortTally, pool: WorkerPoolSize) -> None:
        """See `ProgressListener.began`."""
        self._started = self._line = self._clock()
        gpu = " and a GPU" if pool.gpus else ""
        machines = f"{pool.nodes} machine{'s' if pool.nodes > 1 else ''}"
        self._say(
            f"{tally.left} of {tally.slides} slides to look at; {pool.workers} workers of {pool.threads} "
            f"threads{gpu} each on {machines}"
        )
        self._bar.update(self._task, description="scoring", total=tally.slides)

    def went_on(self, tally: CohortTally, tiles_under_way: int) -> None:
        """See `ProgressListener.went_on`."""
        self._bar.update(self._task, completed=tally.slides - tally.left, said=self._pace(tally, tiles_under_way))
        now = self._clock()
        if not self._console.is_terminal and now - self._line >= LINE_S:
            self._line = now
            done = tally.scored + tally.kept
            self._say(
                f"{done} done, {len(tally.failures)} failed, {tally.left} left of {tally.slides}; "
                f"{self._pace(tally, tiles_under_way)}"
            )

    def _pace(self, tally: CohortTally, tiles_under_way: int) -> str:
        """Failed slides, slides and tiles a second, and the time that is left at this pace."""
        seconds = max(self._clock() - self._started, 1e-3)
        rate = tally.scored / seconds
        left = f", {_format_duration(tally.left / rate)} left" if rate and tally.left else ""
        tiles = (tally.tiles + tiles_under_way) / seconds
        return f"{len(tally.failures)} failed, {rate:.3g} slides/s, {tiles:.3g} tiles/s{left}"

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _format_duration(seconds: float) -> str:
    """A time in the two largest of its units."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
    return f"{hours // 24} d {hours % 24} h"
