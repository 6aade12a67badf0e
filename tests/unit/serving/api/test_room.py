import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from serving.api.problems import NotReadyError
from serving.api.room import check_room, free_bytes
from serving.settings import Settings


def test_room_is_that_of_the_folders_or_what_holds_them(tmp_path: Path) -> None:
    settings = Settings(uploads=tmp_path / "not" / "yet", state=tmp_path)
    free = free_bytes(settings)
    assert set(free) == {"uploads", "state"}
    assert min(free.values()) > 0


def test_a_disk_that_is_nearly_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {tmp_path / "uploads": 99, tmp_path / "state": 100}
    for folder in left:
        folder.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=left[folder]))
    settings = Settings(uploads=tmp_path / "uploads", state=tmp_path / "state", min_free_bytes=100)
    with pytest.raises(NotReadyError, match="MITOSIS_UPLOADS"):
        check_room(settings)
    left[tmp_path / "uploads"] = 100
    check_room(settings)
