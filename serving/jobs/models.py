"""The models that a worker should run: those that a caller brought, or what the registry says; and the memory of former ones."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from serving.core.errors import BusyError, MitoserveError, ModelError
from serving.jobs.job import models_key
from serving.registry.registry import ModelRegistry
from serving.registry.releases import Release
from serving.registry.version import VersionId, VersionRefusedError
from serving.scoring.detector import AnyDetector, list_released_cards
from serving.store.errors import NotFoundError

RETRY_S = 30.0
"""A release that could not be loaded is tried again after this: the store may have been out of reach."""
DEFAULT = 0
"""In place of a release's number, where nothing was promoted yet."""


@dataclass(frozen=True, slots=True)
class LoadedModels:
    """A cascade that can score."""

    detector: AnyDetector
    key: str
    """See `models_key`."""
    models: tuple[VersionId, ...] = ()
    release: int = DEFAULT
    """Number of the release, or of the shadow."""


class ModelSource(Protocol):
    """Says which models a worker should run."""

    def next(self, current: LoadedModels | None) -> LoadedModels | None:
        """What should take the place of `current`, loaded beside it; None where that should stay.

        Raises
        ------
        MitoserveError
            If what should serve cannot be loaded.
        """

    def took(self, loaded: LoadedModels) -> None:
        """Hear that new analyses run on `loaded`."""

    def named(self, release: int) -> LoadedModels:
        """The models of a release that has served, loaded beside what serves.

        Raises
        ------
        MitoserveError
            If there is none of this number that may serve here, or it cannot be loaded.
        """

    def shadow(self, current: LoadedModels | None) -> LoadedModels | None:
        """What the shadow that runs should score with: `current` where that is it; None where none runs or can.

        Raises
        ------
        BusyError
            If the table of shadows does not answer.
        """


class GivenModels:
    """What `load` gives, for good."""

    def __init__(self, load: Callable[[], AnyDetector]) -> None:
        self._load = load
        self._asked = False

    def next(self, current: LoadedModels | None) -> LoadedModels | None:
        """See `ModelSource.next`; a failure is not tried again."""
        if self._asked:
            return None
        self._asked = True
        detector = self._load()
        return LoadedModels(detector, models_key(list_released_cards(detector), detector.provider))

    def took(self, loaded: LoadedModels) -> None:
        """See `ModelSource.took`."""

    def named(self, release: int) -> LoadedModels:
        """See `ModelSource.named`; there is no release but the registry's."""
        raise NotFoundError(f"there is no release {release}: this server runs the models that it was given")

    def shadow(self, current: LoadedModels | None) -> LoadedModels | None:
        """See `ModelSource.shadow`; there is no candidate but the registry's."""
        return None


class ReleasedModels:
    """The release that serves; one that waits to be tried is tried first."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self._failed: dict[int, float] = {}
        self._shadow_failed: tuple[int, float] = (DEFAULT, -RETRY_S)

    def next(self, current: LoadedModels | None) -> LoadedModels | None:
        """See `ModelSource.next`."""
        wanted, promoted = self._registry.releases.look()
        if wanted is not None:
            try:
                return self._try_out(wanted, current)
            except BusyError:
                raise
            except MitoserveError as error:
                self._registry.releases.settle(wanted.number, refused=str(error))
        number = DEFAULT if promoted is None else promoted.number
        if current is not None and current.release == number:
            return None
        if time.monotonic() - self._failed.get(number, -RETRY_S) < RETRY_S:
            return None
        try:
            return self._load(number, self._models(promoted), current)
        except ModelError:
            self._failed[number] = time.monotonic()
            raise

    def took(self, loaded: LoadedModels) -> None:
        """See `ModelSource.took`."""
        if loaded.release != DEFAULT:
            self._registry.releases.settle(loaded.release)

    def named(self, release: int) -> LoadedModels:
        """See `ModelSource.named`."""
        found = self._registry.releases.require_served(release)
        return self._loaded_models(release, found.models, self._registry.load(found.models))

    def shadow(self, current: LoadedModels | None) -> LoadedModels | None:
        """See `ModelSource.shadow`. A candidate that may not serve here ends its shadow; one out of reach is tried again."""
        found = self._registry.shadows.running()
        if found is None or (current is not None and current.release == found.number):
            return None if found is None else current
        number, failed_at = self._shadow_failed
        if number == found.number and time.monotonic() - failed_at < RETRY_S:
            return None
        try:
            detector = self._registry.load(found.models)
        except VersionRefusedError as error:
            self._registry.shadows.stop(found.number, failed=str(error))
            return None
        except ModelError as error:
            self._shadow_failed = (found.number, time.monotonic())
            self._registry.shadows.note(found.number, str(error))
            return None
        if found.detail:
            self._registry.shadows.note(found.number, "")
        return self._loaded_models(found.number, found.models, detector)

    def _try_out(self, wanted: Release, current: LoadedModels | None) -> LoadedModels:
        """A release that waits: the models that run already are not loaded again."""
        if current is not None and current.models == wanted.models:
            return replace(current, release=wanted.number)
        return self._loaded_models(wanted.number, wanted.models, self._registry.try_out(wanted))

    def _models(self, promoted: Release | None) -> tuple[VersionId, ...]:
        return self._registry.serving() if promoted is None else promoted.models

    def _load(self, number: int, models: tuple[VersionId, ...], current: LoadedModels | None) -> LoadedModels:
        if current is not None and current.models == models:
            return replace(current, release=number)
        return self._loaded_models(number, models, self._registry.load(models))

    @staticmethod
    def _loaded_models(number: int, models: tuple[VersionId, ...], detector: AnyDetector) -> LoadedModels:
        return LoadedModels(detector, models_key(list_released_cards(detector), detector.provider), models, number)
