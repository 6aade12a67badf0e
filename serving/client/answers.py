"""What a server says of slides and analyses, and why a call did not give what was asked for."""

from dataclasses import dataclass
from typing import Any, Literal

from serving.core.errors import MitoserveError

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


class ClientError(MitoserveError):
    """Base of the client's errors."""

    slug = "internal-error"


class ConnectionLostError(ClientError):
    """The server could not be reached, or went away and did not come back."""

    slug = "internal-error"


class RefusedError(ClientError):
    """The server answered with a problem."""

    slug = "internal-error"

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(f"{detail} ({status}, {kind})")
        self.status, self.kind, self.detail = status, kind, detail


class AnalysisFailedError(ClientError):
    """The analysis ended without a result: it failed or was cancelled."""

    slug = "internal-error"
