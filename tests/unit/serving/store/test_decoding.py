import os
from pathlib import Path

import pytest

from serving.isolation import landlock
from serving.settings import ServerSettings, SettingsError
from serving.store.decoding import open_decoders


def test_the_log_says_whether_decoders_see_only_their_slide(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServerSettings(state=tmp_path)
    with caplog.at_level("INFO"):
        open_decoders(settings).close()
        assert ("nothing but their slide" in caplog.text) == (landlock.version() > 0)
        monkeypatch.setattr(landlock, "version", lambda: 0)  # as on a kernel without it
        caplog.clear()
        open_decoders(settings).close()
    assert "this kernel has no Landlock" in caplog.text


def test_a_user_that_decoders_cannot_become_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no user of this machine"):
        open_decoders(ServerSettings(state=tmp_path, decoder_user="nobody-of-this-name"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of other users")
def test_a_mask_that_hides_slides_from_decoders_is_refused_at_the_start(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with pytest.raises(SettingsError, match="umask"):
            open_decoders(ServerSettings(state=tmp_path, decoder_user="nobody"))
    finally:
        os.umask(before)
