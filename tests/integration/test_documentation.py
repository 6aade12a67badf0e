"""The documentation site builds strictly and offline."""

import socket
from pathlib import Path
from typing import NoReturn

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def test_the_site_builds_strictly_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError("the documentation is built without a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(ROOT)
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    page = (tmp_path / "site" / "reference" / "index.html").read_text()
    assert "Find the mitotic figures of a slide and count them." in page
    assert "https://fonts" not in page
