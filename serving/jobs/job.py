"""An analysis as it is kept, its states, what identifies its result, and why there is none."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import Row

from serving import __version__
from serving.core.errors import MitoserveError
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.core.report import SCHEMA_VERSION
from serving.scoring.batch_sizes import find_rounding
from serving.scoring.triage import LOOK
from serving.store.slide_rows import UNFINISHED


class IdempotencyError(MitoserveError):
    """An idempotency key was used for another request before."""

    slug = "idempotency-conflict"


class NotFinishedError(MitoserveError):
    """The analysis has no result yet, or was cancelled."""

    slug = "not-finished"


LOST = (
    "the stored result of this analysis is lost or damaged and cannot be given; submit the same analysis again "
    "(POST /v1/analyses): it is computed again"
)


class ResultLostError(MitoserveError):
    """The result of an analysis was stored, and is not there any more or not what was stored."""

    slug = "result-lost"


class WebhookError(MitoserveError):
    """A webhook's address is not one that this server may call."""

    slug = "webhook-not-allowed"


class LeaseLostError(Exception):
    """The analysis was cancelled, or another worker has taken it over: nothing of it may be written any more."""


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
    preliminary: str | None = None
    """JSON of what is known before the end, see `Preliminary`."""
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
    case_name: str = ""
    """Of the slide; empty for none."""
    figures: int | None = None
    """Of the result, as the next three; see `result_summary`."""
    density: float | None = None
    warned: int | None = None
    summary: str | None = None

    @classmethod
    def from_row(cls, row: Row[Any]) -> "AnalysisJob":
        """The job in a row of the table."""
        return cls(**{name: getattr(row, name) for name in cls.__slots__})

    @property
    def finished(self) -> bool:
        """Whether nothing about it will change."""
        return self.state not in UNFINISHED

    def describe_preliminary(self) -> dict[str, Any] | None:
        """What was known when the last chunk was finished; None before, and once there is a result."""
        if self.preliminary is None or self.state == "succeeded":
            return None
        known: dict[str, Any] = json.loads(self.preliminary)
        return known

    def snapshot(self) -> dict[str, Any]:
        """What events and webhooks say of it."""
        return {
            "id": self.id,
            "state": self.state,
            "tiles_done": self.tiles_done,
            "tiles_total": self.tiles_total,
            "seconds_left": self.seconds_left,
            "preliminary": self.describe_preliminary(),
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


def options_text(options: ScoringOptions) -> str:
    """The options as JSON with sorted keys, the same for the same options."""
    return json.dumps(options.model_dump(mode="json"), sort_keys=True)


def decode_options(text: str) -> ScoringOptions:
    """The options that `options_text` wrote, of this release or of an earlier one that had fewer."""
    return ScoringOptions.model_validate_json(text)


def request_key(sha256: str, options: ScoringOptions) -> str:
    """Hash of slide, options and this software."""
    looks = [LOOK] if options.cascade == "fast" else []
    return digest([sha256, json.loads(options_text(options)), __version__, SCHEMA_VERSION, *looks])


def models_key(cards: list[ModelCard], provider: str) -> str:
    """Hash of all that models are and were set to, and of what `provider` rounds to where it rounds more than others."""
    rounded = find_rounding(provider)
    return digest([*(card.model_dump(mode="json") for card in cards), *([rounded] if rounded else [])])


def digest(value: object) -> str:
    """SHA-256 of the value's JSON with sorted keys, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
