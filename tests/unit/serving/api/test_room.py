import shutil
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from serving.api.problems import NotReadyError
from serving.api.room import check_room, free_bytes
from serving.store.slides import SlideStore


def test_a_disk_that_is_nearly_full_is_said(
    make_store: Callable[..., SlideStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(min_free_bytes=100)
    for free in (100, 99):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert free_bytes(store.settings) == free
        if free < 100:
            with pytest.raises(NotReadyError, match="MITOSIS_STATE"):
                check_room(store)
        else:
            check_room(store)
