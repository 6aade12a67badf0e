"""An analysis as it is kept, and the states that it goes through."""

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import Row

from serving.store.slide_rows import UNFINISHED

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisJob:
    """One analysis; one that is made waits, and has no number before it is in the table. Times are seconds since 1970."""

    number: int = 0
    id: str
    owner: str
    sha256: str
    name: str
    """Of the slide."""
    options: str
    priority: int
    state: State = "queued"
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    tiles_done: int = 0
    tiles_total: int | None = None
    seconds_left: float | None = None
    token: int = 0
    result: str | None = None
    problem: str | None = None
    detail: str | None = None
    webhook: str | None = None
    request_key: str
    models_key: str | None = None
    shadow_of: str | None = None
    """The analysis that a candidate's repeats: it is nobody's, and stands in no list."""
    shadow: int | None = None
    """Number of the shadow that it is part of."""

    @classmethod
    def from_row(cls, row: Row[Any]) -> "AnalysisJob":
        """The job in a row of the table."""
        return cls(**{name: getattr(row, name) for name in cls.__slots__})

    @property
    def finished(self) -> bool:
        """Whether nothing about it will change."""
        return self.state not in UNFINISHED

    def snapshot(self) -> dict[str, Any]:
        """What events and webhooks say of it."""
        return {
            "id": self.id,
            "state": self.state,
            "tiles_done": self.tiles_done,
            "tiles_total": self.tiles_total,
            "seconds_left": self.seconds_left,
            "problem": self.problem,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to an analysis; ids only grow."""

    id: int
    kind: str
    """A state, or `progress`."""
    data: str
    """JSON."""

    @property
    def last(self) -> bool:
        """Whether no other will follow."""
        return self.kind in STATES and self.kind not in UNFINISHED

    @property
    def values(self) -> dict[str, Any]:
        """The data, parsed."""
        parsed: dict[str, Any] = json.loads(self.data)
        return parsed
