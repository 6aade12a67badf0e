"""Versions are checked in a process of their own; see `apart`."""

from collections.abc import Sequence
from pathlib import Path

from serving.registry.errors import VersionRefusedError
from serving.registry.subprocesses import run_in_subprocess
from serving.registry.version_check import VersionCheck
from serving.settings import ServerSettings

CHECK_S = 600.0
"""All checks of a cascade together; a provider that compiles graphs takes minutes."""


def check_in_subprocess(folders: Sequence[Path], settings: ServerSettings) -> list[VersionCheck]:
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

    def what(checked: int) -> str:
        return (
            f"the check of {', '.join(_version_label(folder) for folder in folders[checked : checked + 1] or folders)}"
        )

    answers = run_in_subprocess("serving.registry", request, timeout_s=CHECK_S, what=what)
    if len(answers) != len(folders):
        raise VersionRefusedError(f"{what(len(answers))} gave no word")
    return [VersionCheck(**answer["passed"]) for answer in answers]


def _version_label(folder: Path) -> str:
    return f"{folder.parent.name}@{folder.name}"
