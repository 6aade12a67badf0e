"""Analyses: start, look, wait, cancel, fetch."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.client.answers import AnalysisFailedError, ClientError, RefusedError, RemoteAnalysis, RemoteProgress
from serving.client.effects import Ask, OnProgress, Pause, Steps, send_with_retry
from serving.exports import EXPORTS

_FIRST_LOOK_S, _LAST_LOOK_S = 0.2, 2.0
"""Between looks at an analysis: a field takes a second, a slide minutes."""


def start(slide: str, options: Mapping[str, Any]) -> Steps[RemoteAnalysis]:
    """A new analysis of a slide; asked twice because the line broke, it is started once."""
    content = json.dumps({"slide": slide, "options": dict(options)}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    answer = yield from send_with_retry(Ask("POST", "/v1/analyses", headers=headers, content=content))
    return parse_analysis(answer.json())


def look(analysis: str) -> Steps[RemoteAnalysis]:
    """The analysis as it is now."""
    answer = yield from send_with_retry(Ask("GET", f"/v1/analyses/{analysis}"))
    return parse_analysis(answer.json())


def cancel(analysis: str) -> Steps[None]:
    """Ask for the analysis to end; one that has ended stays, also where it ended while this was on its way."""
    yield from send_with_retry(Ask("DELETE", f"/v1/analyses/{analysis}?keep_ended=true"))


def remove(analysis: str) -> Steps[None]:
    """Remove an analysis that has ended, with its result."""
    try:
        yield from send_with_retry(Ask("DELETE", f"/v1/analyses/{analysis}"))
    except RefusedError as error:
        if error.kind != "not-found":  # an answer that was lost said that it is removed
            raise


def wait(analysis: str, *, on_progress: OnProgress | None) -> Steps[RemoteAnalysis]:
    """The analysis once it has succeeded.

    Raises
    ------
    AnalysisFailedError
        If it failed or was cancelled.
    """
    pause = _FIRST_LOOK_S
    while True:
        seen = yield from look(analysis)
        if on_progress is not None and seen.progress.tiles_total is not None:
            on_progress(seen.progress.tiles_done, seen.progress.tiles_total)
        if seen.state == "succeeded":
            return seen
        if seen.ended:
            raise AnalysisFailedError(f"the analysis {seen.id} {seen.state}: {seen.problem or 'on request'}")
        yield Pause(pause)
        pause = min(pause * 1.5, _LAST_LOOK_S)


def fetch(analysis: str, *, export: str, into: Path | None) -> Steps[bytes]:
    """The result in the format `export`; empty where it was written to the file `into`."""
    if export not in EXPORTS:
        raise ClientError(f"no format {export!r}; on offer are {', '.join(EXPORTS)}")
    accept = {"Accept": EXPORTS[export].media_type}
    answer = yield from send_with_retry(Ask("GET", f"/v1/analyses/{analysis}/report", headers=accept, into=into))
    return answer.content


def parse_analysis(document: Mapping[str, Any]) -> RemoteAnalysis:
    """The analysis that a server's document states."""
    progress = document["progress"]
    return RemoteAnalysis(
        id=str(document["id"]),
        state=document["state"],
        progress=RemoteProgress(progress["tiles_done"], progress["tiles_total"], progress["seconds_left"]),
        problem=document.get("detail"),
        details=dict(document),
    )
