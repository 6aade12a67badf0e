"""One thing that a reviewer did, with who, when and why."""

from dataclasses import dataclass
from typing import Literal

Action = Literal["accept", "reject", "relabel", "add", "undo"]
Box = tuple[float, float, float, float]
"""x, y, width, height; level-0 px."""

FIGURE, NOT_FIGURE = "Mitosis", "Not mitosis"
LABELS = {
    FIGURE: True,
    "Atypical mitosis": True,
    NOT_FIGURE: False,
    "Apoptotic body": False,
    "Pyknotic nucleus": False,
}
"""What an object may be called, and whether it counts as a mitotic figure."""


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """A row of the record; rows are added and never changed."""

    number: int
    at: float
    """Seconds since 1970."""
    author: str
    """Id of the principal whose key was shown."""
    reviewer: str
    """What the person calls themselves: several may use one key."""
    action: Action
    target: str
    """`detection-7` and `candidate-7`, the eighth of each of the report; `added-12`, what entry 12 added; of `undo` the number of an
    entry."""
    box: Box | None = None
    label: str | None = None
    reason: str = ""

    @property
    def who(self) -> tuple[str, str]:
        """Whose verdicts this is part of."""
        return self.author, self.reviewer


def make_added_target(number: int) -> str:
    """What the object is called that entry `number` added."""
    return f"added-{number}"
