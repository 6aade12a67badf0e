"""Stores in a folder of the test's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.settings import ServerSettings
from serving.store.database import open_database
from serving.store.slides import SlideStore


@pytest.fixture(scope="session")
def decoders() -> Iterator[Decoders]:
    made = Decoders(DecoderLimits())
    yield made
    made.close()


@pytest.fixture
def make_store(tmp_path: Path, decoders: Decoders) -> Iterator[Callable[..., SlideStore]]:
    made: list[SlideStore] = []

    def make(**settings: Any) -> SlideStore:
        stated = ServerSettings(**{"state": tmp_path / "state", **settings})
        made.append(SlideStore(open_database(stated), stated, decoders))
        return made[-1]

    yield make
    for store in made:
        store.database.close()


@pytest.fixture
def store(make_store: Callable[..., SlideStore]) -> SlideStore:
    return make_store()
