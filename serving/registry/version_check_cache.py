"""What was found of versions on this machine, remembered: nothing is checked twice that has not changed."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import delete, insert, select

from serving.registry.machine import machine_hash
from serving.registry.version import VersionId
from serving.registry.version_check import VersionCheck
from serving.registry.version_check_process import check_in_subprocess
from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.tables import model_checks


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
