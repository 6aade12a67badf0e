"""What a server says of slides and analyses."""

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class RemoteSlide:
    """A slide that the server keeps."""

    id: str
    name: str
    details: dict[str, Any]
    """Everything else that the server states: size, microns per px, vendor."""


@dataclass(frozen=True, slots=True)
class RemoteProgress:
    """How far an analysis is."""

    tiles_done: int
    tiles_total: int | None
    """None until the slide was opened."""

    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class RemoteAnalysis:
    """An analysis as the server had it when it answered."""

    id: str
    state: State
    progress: RemoteProgress
    problem: str | None
    """What went wrong, of one that failed."""

    details: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in ENDED
