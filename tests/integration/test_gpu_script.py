"""The script for a GPU goes through every part without one: where a GPU is lent, no minute of it is lost to a slip of the script."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import ORDER, main

pytestmark = pytest.mark.integration
OF_A_GPU = {"choice", "search", "tf32", "whole_tf32"}
"""Parts that a processor has nothing to say to."""


def test_a_dry_run_goes_through_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dry-run", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "failed: none" in printed
    assert "a dry run: nothing was measured" in printed
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["dry_run"]
    assert [name for name in ORDER if name not in found] == []
    assert all(found[name] for name in ORDER if name not in OF_A_GPU)
    assert found["whole"]["tiles"] == found["whole_fast"]["tiles"] == 1
    assert found["whole_fast"]["asked"]["triage"] == 1
    assert "failed" not in json.dumps(found)
