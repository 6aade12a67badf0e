import stat
import subprocess
import sys
from pathlib import Path

import pytest

from serving.settings import SettingsError
from serving.store.spool import open_spool
from tests.limits import LONGEST_S


def test_a_spool_is_private_and_goes_with_its_server(tmp_path: Path) -> None:
    root = tmp_path / "uploads"
    with open_spool(root) as spool:
        (spool / "upload").mkdir()
        assert stat.S_IMODE(spool.stat().st_mode) == 0o700
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert list(root.iterdir()) == []


def test_two_servers_share_a_root_without_touching_each_other(tmp_path: Path) -> None:
    with open_spool(tmp_path) as first:
        (first / "slide").write_bytes(b"x")
        with open_spool(tmp_path) as second:
            assert second != first
            assert (first / "slide").read_bytes() == b"x"


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from serving.store.spool import open_spool\n"
        "context = open_spool(Path(sys.argv[1])); folder = context.__enter__()\n"
        "(folder / 'slide.part').write_bytes(b'x'); print(folder, flush=True); os._exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed, str(tmp_path)], check=False, capture_output=True, text=True, timeout=LONGEST_S
    )
    orphan = Path(done.stdout.strip())
    assert (orphan / "slide.part").exists()
    with open_spool(tmp_path) as spool:
        assert list(tmp_path.iterdir()) == [spool]


def test_a_root_that_is_no_folder_is_a_settings_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SettingsError, match="MITOSIS_STATE"), open_spool(file):
        pass


def test_a_root_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SettingsError, match="MITOSIS_STATE"), open_spool(tmp_path / "link"):
        pass
