"""What a call does, apart from how it waits: steps that ask for a request or a pause and are handed the outcome.

The synchronous and the asynchronous client run the same steps, so there is one place that knows the protocol.
"""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from serving.client.answers import ConnectionLostError, RefusedError

T = TypeVar("T")

ATTEMPTS = 8
"""Tries of one request, about two minutes in all: enough for a server to start again."""

LONGEST_PAUSE_S = 60.0
_BUSY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request; the answer comes back with its body, or a transport error in its place."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    into: Path | None = None
    """File that takes the body of a 200, written as it arrives; None keeps it in memory."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float
    reason: str = ""
    """Why the same is tried again afterwards; empty where nothing went wrong."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """Read bytes of a file."""

    path: Path
    offset: int
    size: int


Effect = Ask | Pause | ReadFile
Outcome = httpx.Response | httpx.TransportError | bytes | None
Steps = Generator[Effect, Outcome, T]
OnProgress = Callable[[int, int], None]
"""Called with what is done and what there is to do: bytes of an upload, tiles of an analysis."""
OnRetry = Callable[[str, float], None]
"""Called before something is tried again, with the reason and the seconds until then."""


_NO_KEY = (
    "the server does not know who you are: set MITOSIS_KEY to a key that `mitoserve keys create` made there; on the server's own "
    "machine, until it has keys, MITOSIS_KEY=$(mitoserve keys local)"
)


def send_with_retry(ask: Ask, *, repeatable: bool = True) -> Steps[httpx.Response]:
    """The answer to `ask`, which is sent again while the server is away or busy, if that does no harm.

    Raises
    ------
    ConnectionLostError
        If no answer came.
    RefusedError
        If the answer is a problem.
    """
    for attempt in range(ATTEMPTS):
        outcome = yield ask
        last = attempt == ATTEMPTS - 1 or not repeatable
        if isinstance(outcome, httpx.Response):
            if outcome.status_code < 400:
                return outcome
            if outcome.status_code not in _BUSY or last:
                raise refusal(outcome)
        elif last:
            raise ConnectionLostError(f"the server cannot be reached: {reason(outcome)}")
        yield Pause(pause_s(outcome, attempt), reason(outcome))
    raise AssertionError("the last attempt returns or raises")


def pause_s(outcome: Outcome, attempt: int) -> float:
    """Seconds until the next attempt: what the server asks for, else doubling from one, with chance against crowds."""
    stated = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx.Response) else ""
    seconds = float(stated) if stated.isdecimal() else 2.0**attempt * random.uniform(0.5, 1)  # noqa: S311 - no secret
    return min(seconds, LONGEST_PAUSE_S)


def reason(outcome: Outcome) -> str:
    """Why an outcome is not what was asked for, in a few words."""
    if isinstance(outcome, httpx.Response):
        return f"it answers {outcome.status_code} {outcome.reason_phrase}".rstrip()
    return f"{type(outcome).__name__} {outcome}".rstrip() if isinstance(outcome, Exception) else "no answer"


def refusal(response: httpx.Response) -> RefusedError:
    """The error that a problem document states."""
    try:
        document = response.json()
        kind = str(document["type"]).rsplit(":", 1)[-1]
        detail = _NO_KEY if response.status_code == httpx.codes.UNAUTHORIZED else str(document["detail"])
        return RefusedError(response.status_code, kind, detail)
    except (ValueError, KeyError, TypeError):
        return RefusedError(response.status_code, "unknown", "the answer is not of a Mitoserve server")
