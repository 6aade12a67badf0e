"""What became of each damaged slide, in a file that a later run goes on from, and the table of all."""

import json
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one damaged slide.

    outcome : how far it came, or by which status and problem it was refused
    failure : what was wrong with the server; None where nothing was
    hung : whether no answer came in time
    waits : how often the server asked to come again later
    """

    seed: str
    kind: str
    damage: str
    outcome: str
    seconds: float
    failure: str | None = None
    hung: bool = False
    waits: int = 0


class Outcomes:
    """All outcomes; with a file, also those of former runs."""

    def __init__(self, file: Path | None = None) -> None:
        self._lock, self._file = threading.Lock(), file
        self.all: list[Outcome] = []
        if file is not None and file.exists():
            lines = file.read_text().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # a run that was killed left a part of one
            self.all = [Outcome(**json.loads(line)) for line in whole]
            file.write_text("".join(whole))

    @property
    def seeds(self) -> set[str]:
        """Which are done."""
        return {outcome.seed for outcome in self.all}

    def add(self, outcome: Outcome) -> int:
        """Note one; gives how many there are. From several threads."""
        with self._lock:
            self.all.append(outcome)
            if self._file is not None:
                with self._file.open("a") as file:
                    file.write(json.dumps(asdict(outcome)) + "\n")
            return len(self.all)


def failures(outcomes: Iterable[Outcome]) -> list[str]:
    """What was wrong with the server, with the seed that shows it again."""
    return [f"{o.seed}, {o.kind}, {o.damage}: {o.failure}" for o in outcomes if o.failure is not None]


def table(outcomes: list[Outcome]) -> Table:
    """How many of each format were read, were refused by which status, and had another end."""
    statuses = sorted({_column(o) for o in outcomes} - {"read"})
    columns = ["read", *statuses]
    shown = Table("format", "tried", *columns, "slowest, s")
    for kind in sorted({o.kind for o in outcomes}):
        shown.add_row(kind, *_row([o for o in outcomes if o.kind == kind], columns))
    shown.add_section()
    shown.add_row("all", *_row(outcomes, columns))
    return shown


def _row(outcomes: list[Outcome], columns: list[str]) -> list[str]:
    counted = Counter(_column(o) for o in outcomes)
    return [str(len(outcomes)), *(str(counted[c]) for c in columns), f"{max(o.seconds for o in outcomes):.1f}"]


def _column(outcome: Outcome) -> str:
    if outcome.outcome in ("read", "analysed"):
        return "read"
    head = outcome.outcome.split(" ", 1)[0]
    return head if head.isdigit() else outcome.outcome
