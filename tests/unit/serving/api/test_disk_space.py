import shutil
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from serving.api.info import check_disk_space, read_free_bytes
from serving.api.problems import NotReadyError
from serving.store.slides import SlideStore


def test_a_disk_that_is_nearly_full_is_said(
    make_store: Callable[..., SlideStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(min_free_bytes=100)
    for free in (100, 99):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert read_free_bytes(store.settings) == free
        if free < 100:
            with pytest.raises(NotReadyError, match="MITOSIS_STATE"):
                check_disk_space(store)
        else:
            check_disk_space(store)
