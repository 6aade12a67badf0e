"""A registry of quick models in a folder of the test's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.registry.registry import ModelRegistry
from serving.settings import ServerSettings
from serving.store.database import Database, open_database
from tests.quick_models import write_quick_models


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    models = write_quick_models(tmp_path / "models")
    return ServerSettings(
        models=models, state=tmp_path / "state", providers=("CPUExecutionProvider",), model_window_s=10
    )


@pytest.fixture
def database(settings: ServerSettings) -> Iterator[Database]:
    opened = open_database(settings)
    yield opened
    opened.close()


@pytest.fixture
def registry(settings: ServerSettings, database: Database) -> ModelRegistry:
    return ModelRegistry(settings, database)
