"""A registry of quick models in a folder of the test's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from serving.core.errors import ModelError
from serving.registry import registry as registry_module
from serving.registry import version_check_cache
from serving.registry.registry import ModelRegistry
from serving.registry.version import VersionRefusedError
from serving.registry.version_check import VersionCheck, check_version
from serving.settings import ServerSettings
from serving.store.database import Database, open_database
from tests.limits import LONGEST_S
from tests.quick_models import write_quick_models


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    models = write_quick_models(tmp_path / "models")
    return ServerSettings(
        models=models, state=tmp_path / "state", providers=("CPUExecutionProvider",), model_window_s=LONGEST_S
    )


@pytest.fixture
def database(settings: ServerSettings) -> Iterator[Database]:
    opened = open_database(settings)
    yield opened
    opened.close()


@pytest.fixture
def registry(settings: ServerSettings, database: Database) -> ModelRegistry:
    return ModelRegistry(settings, database)


@pytest.fixture
def checks_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are checked in this process: one of its own, which other tests are about, takes half a second to start."""

    def check(folders: Sequence[Path], settings: ServerSettings) -> list[VersionCheck]:
        try:
            return [
                check_version(
                    folder,
                    window_s=settings.model_window_s,
                    providers=settings.providers,
                    signers=[Path(signer) for signer in settings.model_signers],
                )
                for folder in folders
            ]
        except ModelError as error:
            raise VersionRefusedError(str(error)) from error

    for module in (registry_module, version_check_cache):
        monkeypatch.setattr(module, "check_in_subprocess", check)
