"""`mitoserve state scrub` beside a state folder that a server left."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serving.cli.state import state as command
from tests.services import bring, field, serving, submit, wait_for_end

pytestmark = pytest.mark.integration


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))


def test_all_that_is_damaged_is_found_and_is_whole_after_the_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("MITOSIS_STATE", str(state))

    def scrub(*options: str) -> Result:
        return CliRunner().invoke(command, ["scrub", *options])

    with serving(state) as client:
        slide = bring(client, field())
        analysis = wait_for_end(client, submit(client, slide)["id"])
        report = client.get(analysis["links"]["report"]).json()
        whole = scrub()
        assert whole.exit_code == 0, whole.output
        assert "read 1 slides, 1 results and 1 files of findings: 0 slides, 0 results and 0 files" in whole.output
        for pattern in ("slides/*/slide.png", "results/*/rasters.npz", "tiles/**/*.npz"):
            (path,) = state.glob(pattern)
            flip(path)
        (state / "results" / "left-over").mkdir()
        for options in ((), ("--repair",)):
            found = scrub(*options)
            assert found.exit_code == 1, found.output
            assert "1 slides, 1 results and 1 files of findings are damaged or lost" in found.output
            assert f"{2 if options else 1} folders that it does not name" in found.output
            assert ("(repaired)" in found.output) == bool(options)
        assert bring(client, field()) == slide
        again = wait_for_end(client, submit(client, slide)["id"])
        shown = client.get(again["links"]["report"]).json()
        assert (shown["counts"], shown["detections"]) == (report["counts"], report["detections"])
        mended = scrub()
        assert mended.exit_code == 0, mended.output
