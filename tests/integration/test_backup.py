"""The backup that docs/operations.md describes, made while a server works, restored as it says there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from serving.access.access import open_access
from serving.settings import ServerSettings
from tests.limits import LONGEST_S
from tests.services import Blocking, bring, field, serving, submit, wait_for_end

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_a_backup_of_a_working_server_is_a_server(tmp_path: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("the sqlite3 command is not on this machine")
    state, backup = tmp_path / "state", tmp_path / "backup"
    backup.mkdir()
    detector = Blocking()
    detector.released.set()
    with serving(state, lambda: detector) as client:
        slide = bring(client, field(), "kept.png")
        done = wait_for_end(client, submit(client, slide)["id"])
        report = client.get(done["links"]["report"]).json()
        detector.entered.clear()
        detector.released.clear()
        running = submit(client, slide, options={"mpp": 0.26, "cascade": "off"})
        assert detector.entered.wait(LONGEST_S)
        noted = open_access(ServerSettings(state=state)).audit.verify()[1]
        (commands,) = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
        environment = {**os.environ, "MITOSIS_STATE": str(state), "BACKUP": str(backup)}
        subprocess.run(["bash", "-euc", commands], env=environment, check=True, timeout=LONGEST_S)
        detector.released.set()
        wait_for_end(client, running["id"])
    shutil.rmtree(state)
    with serving(backup) as client:
        assert open_access(ServerSettings(state=backup)).audit.verify(known=noted)[0] == 3
        assert client.get(f"/v1/slides/{slide}").json()["name"] == "kept.png"
        assert client.get(f"/v1/slides/{slide}/thumbnail").status_code == 200
        assert client.get(done["links"]["report"]).json() == report
        assert wait_for_end(client, running["id"])["state"] == "succeeded"
        assert (
            wait_for_end(client, submit(client, slide, options={"mpp": 0.25, "threshold": 0.1})["id"])["state"]
            == "succeeded"
        )
