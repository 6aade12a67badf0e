"""The Bento installs what the package depends on, but for the command line's own libraries."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMAND_LINE_ONLY = {"click", "rich"}


def test_bento_and_package_state_the_same_requirements() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    packaged = re.findall(r'^    - "(.+)"$', (ROOT / "bentofile.yaml").read_text(), re.MULTILINE)
    assert set(packaged) == {line for line in stated if re.split(r"[<>=]", line)[0] not in COMMAND_LINE_ONLY}
