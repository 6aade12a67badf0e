"""What serving installs by its hashes, and the bill of materials that is made of it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.limits import LONGEST_S

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
LOCKED = ROOT / "deploy" / "requirements.txt"
_PIN = re.compile(r"(?m)^([A-Za-z0-9._-]+)==(\S+)(?: ; [^\\\n]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")


def locked() -> dict[str, str]:
    """Version by name of each package in the file."""
    return {canonicalize_name(name): pinned for name, pinned, _ in _PIN.findall(LOCKED.read_text())}


def needed(stated: list[str]) -> Iterator[str]:
    """Names of everything that requirements lead to, as it is installed here."""
    open_ones, seen = [Requirement(text) for text in stated], set()
    while open_ones:
        wanted = open_ones.pop()
        name = canonicalize_name(wanted.name)
        if (name, *sorted(wanted.extras)) in seen:
            continue
        seen.add((name, *sorted(wanted.extras)))
        yield name
        for text in distribution(name).requires or ():
            further = Requirement(text)
            if any(further.marker is None or further.marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                open_ones.append(further)


def test_the_file_pins_all_that_serving_needs_to_the_versions_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = set(needed([*project["dependencies"], *project["optional-dependencies"]["s3"]]))
    found = locked()
    assert wanted <= found.keys()
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert found == {name: pinned for line, pinned in tested.items() if (name := canonicalize_name(line)) in found}


def test_the_file_holds_pins_and_hashes_and_no_address_to_download_from() -> None:
    text = LOCKED.read_text()
    rest = [line for line in _PIN.sub("", text).splitlines() if not line.startswith("#")]
    assert rest == []
    assert "://" not in text


def test_pip_takes_the_file_and_finds_it_installed() -> None:
    """In hash mode every requirement must be pinned and hashed; what is installed already is not downloaded."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index", "--require-hashes"]
    done = subprocess.run([*command, "-r", str(LOCKED)], capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout


def test_the_bill_of_materials_is_valid_cyclonedx_of_what_is_installed(tmp_path: Path) -> None:
    """By the target of the Makefile, of a small environment."""
    environment, sbom = tmp_path / "venv", tmp_path / "sbom.json"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=LONGEST_S)
    packages = ["click", "fastapi", "starlette", "numpy"]
    site = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for name in packages:
        source = Path(str(distribution(name).locate_file(""))) / Path(str(distribution(name)._path)).name  # type: ignore[attr-defined]
        shutil.copytree(source, site / source.name)
    settings = [f"SERVING={environment}", f"BIN={Path(sys.executable).parent}", f"SBOM={sbom}"]
    made = subprocess.run(
        ["make", "-C", str(ROOT), "-o", ".venv/.dev", "-o", str(environment / ".locked"), "sbom", *settings],
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=1000,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    text = sbom.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "mitoserve"
    assert {c["name"]: c["version"] for c in document["components"]} == {name: version(name) for name in packages}
    assert all(c["purl"] == f"pkg:pypi/{c['name']}@{c['version']}" for c in document["components"])
    uses = {entry["ref"]: entry.get("dependsOn", []) for entry in document["dependencies"]}
    assert f"starlette=={version('starlette')}" in uses[f"fastapi=={version('fastapi')}"]
    assert str(tmp_path) not in text
    assert str(ROOT) not in text
