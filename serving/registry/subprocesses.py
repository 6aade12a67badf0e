"""Work on models in a process of its own: a graph that ends the runtime, or never ends, takes nobody's slide with it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from serving.core.errors import ModelError
from serving.registry.version import VersionRefusedError

REFUSED = "refused"
"""The key of a line that says why there are no more."""


def run_in_subprocess(
    module: str, request: Mapping[str, Any], *, timeout_s: float, what: Callable[[int], str]
) -> list[dict[str, Any]]:
    """The lines of JSON that `python -m module REQUEST` writes.

    what : says what is under way after so many lines, for messages

    Raises
    ------
    RefusedError
        If it refuses, ends with another status than 0, or does not end in time.
    ModelError
        If it could not be started.
    """
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, json.dumps(request)],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VersionRefusedError(f"{what(0)} did not end within {timeout_s:g} s") from error
    except OSError as error:
        raise ModelError(f"{what(0)} cannot be started: {error}") from error
    answers: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    if refused := [answer[REFUSED] for answer in answers if REFUSED in answer]:
        raise VersionRefusedError(refused[0])
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise VersionRefusedError(
            f"{what(len(answers))} ended its process (status {done.returncode}): {said[-1][:300] if said else 'no word'}"
        )
    return answers
