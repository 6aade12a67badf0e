"""Versions in a bucket of a real S3-compatible server, where a machine has one."""

from pathlib import Path

import pytest

from serving.core.errors import ModelError
from serving.registry.registry import ModelRegistry
from serving.registry.version import RegistryError
from serving.scoring.detector import list_cards
from serving.settings import ServerSettings
from serving.store.database import Database
from tests.quick_models import write_quick_models


@pytest.fixture
def in_bucket(bucket: str, settings: ServerSettings, database: Database) -> ModelRegistry:
    return ModelRegistry(settings.model_copy(update={"model_store": bucket}), database)


def test_a_bucket_keeps_and_gives_versions(in_bucket: ModelRegistry, tmp_path: Path, settings: ServerSettings) -> None:
    write_quick_models(tmp_path / "new", "0.2", scale=30)
    for name in ("reg-ns", "det"):
        in_bucket.add(tmp_path / "new" / name / "0.2")
    with pytest.raises(RegistryError, match="versions never change"):
        in_bucket.add(tmp_path / "new" / "det" / "0.2")
    in_bucket.promote(["0.2"], "ann")
    assert [row.version for row in in_bucket.versions() if row.serves] == ["0.2", "0.2"]
    assert list_cards(in_bucket.load(in_bucket.serving()))[1].version == "0.2"
    cached = list((settings.state / "model-cache").glob("*/det/0.2/model.onnx"))
    assert len(cached) == 1
    cached[0].write_bytes(b"damaged on this disk")
    with pytest.raises(ModelError, match="SHA-256"):
        in_bucket.load(in_bucket.serving())


def test_a_bucket_that_is_not_there(in_bucket: ModelRegistry, settings: ServerSettings, database: Database) -> None:
    registry = ModelRegistry(settings.model_copy(update={"model_store": "s3://elsewhere/models"}), database)
    with pytest.raises(ModelError, match=r"the models at s3://elsewhere/models cannot be reached"):
        registry.versions()
