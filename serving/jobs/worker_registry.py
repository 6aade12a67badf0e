"""The workers as the server sees them: a row each, with the models that it has loaded."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.scoring.detector import AnyDetector, list_released_cards
from serving.store.database import Database
from serving.store.tables import workers

STALE_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class RegisteredWorker:
    """A worker."""

    id: str
    state: str
    """loading, ready or failed."""
    detail: str
    """Why it could not load the models that should serve; empty where it could."""
    cards: tuple[ModelCard, ...]


class WorkerRegistry:
    """The workers that one server has started."""

    def __init__(self, database: Database, server: str) -> None:
        self._database, self._server = database, server

    def enter(self, worker: str) -> None:
        """Note that a worker loads its models."""
        values = {"id": worker, "server": self._server, "state": "loading", "detail": "", "cards": "[]", "provider": ""}
        with self._database.writing() as tx:
            tx.execute(delete(workers).where(workers.c.seen_at < time.time() - STALE_S))
            tx.execute(insert(workers).values({**values, "seen_at": time.time()}))

    def ready(self, worker: str, detector: AnyDetector, key: str) -> None:
        """Note that a worker scores with these models, whose key is `key`."""
        values = {"state": "ready", "detail": "", "models_key": key, "provider": detector.provider}
        values["cards"] = json.dumps([card.model_dump(mode="json") for card in list_released_cards(detector)])
        self._update(worker, values)

    def note_failure(self, worker: str, detail: str, *, state: str = "failed") -> None:
        """Note that a worker could not load models; `state` is `ready` where it goes on with those that it has."""
        self._update(worker, {"state": state, "detail": detail})

    def leave(self, worker: str) -> None:
        """Note that a worker has ended."""
        with self._database.writing() as tx:
            tx.execute(delete(workers).where(workers.c.id == worker))

    def models_key(self) -> str | None:
        """Key of the models that would run now; None before they are loaded."""
        with self._database.reading() as tx:
            return tx.execute(
                select(workers.c.models_key).where(workers.c.server == self._server, workers.c.state == "ready")
            ).scalar()

    def members(self) -> list[RegisteredWorker]:
        """Every worker of every server that shares this database, with what it runs."""
        with self._database.reading() as tx:
            rows = tx.execute(select(workers).order_by(workers.c.seen_at)).all()
        return [
            RegisteredWorker(
                row.id, row.state, row.detail, tuple(ModelCard.model_validate(card) for card in json.loads(row.cards))
            )
            for row in rows
        ]

    def cards(self) -> list[ModelCard]:
        """Cards of the loaded models.

        Raises
        ------
        ModelError
            If they are still loading, or could not be loaded; the message says why.
        """
        with self._database.reading() as tx:
            rows = tx.execute(select(workers).where(workers.c.server == self._server)).all()
        for row in rows:
            if row.state == "ready":
                return [ModelCard.model_validate(card) for card in json.loads(row.cards)]
        for row in rows:
            if row.state == "failed":
                raise ModelError(f"the models could not be loaded: {row.detail}")
        raise ModelError("the models are still loading; try again in a moment")

    def _update(self, worker: str, values: Mapping[str, object]) -> None:
        with self._database.writing() as tx:
            tx.execute(update(workers).where(workers.c.id == worker).values({**values, "seen_at": time.time()}))
