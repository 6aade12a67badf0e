"""What a reader took, changed and left, and why; and the error for a file that is not what it should be."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


class FormatError(ValueError):
    """A source file is wrong. The message names the file, the line or record, and the field."""

    def __init__(self, path: Path, where: str, problem: str) -> None:
        super().__init__(f"{path}: {where}: {problem}")


@dataclass(slots=True)
class ImportReport:
    """Counts by reason, filled by a reader as it goes."""

    taken: Counter[str] = field(default_factory=Counter)
    clipped: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    """What was neither changed nor left, and yet should be known before training."""

    def lines(self) -> list[str]:
        """One line a reason, for people. The number stands behind it, so that one is `mitotic figures (1)`."""
        return [
            f"{verb:8s} {reason} ({count:,d})"
            for verb, counter in (
                ("took", self.taken),
                ("clipped", self.clipped),
                ("dropped", self.dropped),
                ("note", self.noted),
            )
            for reason, count in sorted(counter.items())
            if count
        ]
