import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from serving.api.problems import NotReadyError
from serving.api.room import check_room, free_bytes
from serving.settings import Settings


def test_a_disk_that_is_nearly_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(state=tmp_path, min_free_bytes=100)
    for free in (100, 99):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert free_bytes(settings) == free
        if free < 100:
            with pytest.raises(NotReadyError, match="MITOSIS_STATE"):
                check_room(settings)
        else:
            check_room(settings)
