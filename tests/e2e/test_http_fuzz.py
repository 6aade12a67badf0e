"""The server and its OpenAPI document agree, whatever is asked."""

from pathlib import Path

import pytest

from tests.http_fuzz import fuzz
from tests.quick_models import write_quick_models
from tests.server_process import ServerProcess

pytestmark = pytest.mark.e2e


def test_every_answer_is_one_that_the_document_states(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, write_quick_models(tmp_path / "models")).start()
    try:
        found = fuzz(f"http://127.0.0.1:{server.port}", examples=2)
        assert not found.failed, found.report
        assert server.alive()
    finally:
        server.stop()
