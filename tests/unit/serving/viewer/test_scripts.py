"""The viewer's scripts pass ESLint and TypeScript, whose versions are locked without the addresses that they came from."""

import json
import re
from pathlib import Path

import pytest

from tests import viewer_tools

ROOT = Path(__file__).parents[4]
VIEWER = ROOT / "serving" / "viewer"


def test_the_scripts_have_no_fault_that_tools_find() -> None:
    if not viewer_tools.are_installed():
        pytest.skip(viewer_tools.MISSING)
    assert viewer_tools.check() == {}


def test_the_lock_names_hashes_and_no_addresses() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all(
        "resolved" not in package and package["integrity"].startswith("sha512-") for package in packages.values()
    )
    asked = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in asked} == asked


def test_types_are_those_of_the_vendored_versions() -> None:
    makefile = (ROOT / "Makefile").read_text()
    asked = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    for variable, name in (("OPENSEADRAGON", "openseadragon"), ("TUS", "tus-js-client")):
        stated = re.search(rf"^{variable} +:= (\S+)$", makefile, re.MULTILINE)
        assert stated is not None
        assert stated[1] == asked[name]


def test_what_a_script_imports_is_there() -> None:
    scripts = [path for path in VIEWER.rglob("*.js") if "vendor" not in path.parts]
    assert len(scripts) > 20
    for script in scripts:
        for imported in re.findall(r'^import (?:[^"]* from )?"([^"]+)";$', script.read_text(), re.MULTILINE):
            assert (script.parent / imported).is_file(), f"{script.relative_to(VIEWER)}: {imported}"
