"""Versions are checked in a process of their own, and what was found on this machine is remembered while nothing changes."""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import onnxruntime
from sqlalchemy import delete, insert, select

from serving import __version__
from serving.registry.subprocesses import run_in_subprocess
from serving.registry.version import VersionId, VersionRefusedError
from serving.registry.version_check import VersionCheck
from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.tables import model_checks

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


def machine_hash(settings: ServerSettings) -> str:
    """Hash of this machine, its runtime and what `settings` ask of models."""
    signers = [
        [path, hashlib.sha256(Path(path).read_bytes()).hexdigest()]
        for path in settings.model_signers
        if Path(path).is_file()
    ]
    runtime = [onnxruntime.__version__, onnxruntime.get_available_providers(), settings.providers, __version__]
    stated = [platform.node(), platform.processor(), runtime, settings.model_window_s, settings.model_signers, signers]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


class VersionCheckCache:
    """The findings of one database, on this machine."""

    def __init__(self, settings: ServerSettings, database: Database, folder: Callable[[VersionId], Path]) -> None:
        """`folder`: where a version's files are."""
        self._settings, self._database, self._folder = settings, database, folder

    def check(self, models: Sequence[VersionId], *, again: bool = False) -> list[VersionCheck]:
        """See `Registry.check`."""
        folders = {model: self._folder(model) for model in models}
        machine = machine_hash(self._settings)
        known: Mapping[VersionId, VersionCheck] = {} if again else self._find_known(models, machine)
        due = [model for model in models if model not in known]
        if due:
            found = check_in_subprocess([folders[model] for model in due], self._settings)
            known = {**known, **dict(zip(due, found, strict=True))}
            for model in due:
                self.remember(model, known[model], machine)
        return [known[model] for model in models]

    def remember(self, model: VersionId, found: VersionCheck, machine: str | None = None) -> None:
        """Note what was found of a version; `machine` is this one's hash, if it is known already."""
        machine = machine or machine_hash(self._settings)
        same = (model_checks.c.digest == model.digest) & (model_checks.c.machine == machine)
        values = {"digest": model.digest, "machine": machine, "at": time.time(), "findings": json.dumps(asdict(found))}
        with self._database.writing() as tx:
            tx.execute(delete(model_checks).where(same))
            tx.execute(insert(model_checks).values(values))

    def _find_known(self, models: Sequence[VersionId], machine: str) -> dict[VersionId, VersionCheck]:
        chosen = select(model_checks.c.digest, model_checks.c.findings).where(model_checks.c.machine == machine)
        with self._database.reading() as tx:
            found = {row.digest: VersionCheck(**json.loads(row.findings)) for row in tx.execute(chosen)}
        return {model: found[model.digest] for model in models if model.digest in found}
