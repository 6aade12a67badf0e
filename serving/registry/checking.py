"""Versions are checked in a process of their own: a graph that ends the runtime, or never ends, takes nobody's slide with it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from serving.registry.checkup import Checkup
from serving.registry.errors import RefusedError
from serving.settings import Settings
from serving.wsi.errors import ModelError

CHECK_S = 600.0
"""All checks of a cascade together; a provider that compiles graphs takes minutes."""


def check_apart(folders: Sequence[Path], settings: Settings) -> list[Checkup]:
    """What `check_version` finds of each folder, by the providers and limits of `settings`.

    Raises
    ------
    RefusedError
        If one may not serve here; the message says why.
    ModelError
        If the process could not be started.
    """
    request = {
        "folders": [str(folder) for folder in folders],
        "window_s": settings.model_window_s,
        "providers": settings.providers,
        "signers": settings.model_signers,
    }
    command = [sys.executable, "-m", "serving.registry", json.dumps(request)]
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CHECK_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RefusedError(f"the check of {_named(folders)} did not end within {CHECK_S:g} s") from error
    except OSError as error:
        raise ModelError(f"the check of {_named(folders)} cannot be started: {error}") from error
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if refused := [answer["refused"] for answer in answers if "refused" in answer]:
        raise RefusedError(refused[0])
    if done.returncode or len(answers) != len(folders):
        said = done.stderr.strip().splitlines()
        culprit = _named(folders[len(answers) : len(answers) + 1])
        raise RefusedError(
            f"the check of {culprit} ended its process (status {done.returncode}): {said[-1][:300] if said else 'no word'}"
        )
    return [Checkup(**answer["passed"]) for answer in answers]


def _named(folders: Sequence[Path]) -> str:
    return ", ".join(f"{folder.parent.name}@{folder.name}" for folder in folders)
