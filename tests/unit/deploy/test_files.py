"""The files under deploy/ hold against the schemas of what reads them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.cli import COMMANDS
from serving.settings import ServerSettings
from tests.limits import LONGEST_S

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = kubernetes_validate.latest_version()
MANIFESTS = sorted(p for p in (DEPLOY / "kubernetes").glob("*.yaml") if p.name != "kustomization.yaml")


def check(*command: object) -> None:
    ended = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def tool(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def test_yaml_is_clean() -> None:
    check(tool("yamllint"), "--strict", "-c", ROOT / ".yamllint.yaml", DEPLOY, ROOT / "bentofile.yaml")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)
def test_kubernetes_takes_the_manifests(path: Path) -> None:
    manifests = list(yaml.safe_load_all(path.read_text()))
    assert manifests
    for manifest in manifests:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_a_manifest_with_an_unknown_field_is_refused() -> None:
    (path,) = (path for path in MANIFESTS if path.name == "service.yaml")
    manifest = yaml.safe_load(path.read_text())
    manifest["spec"]["port"] = 3000
    with pytest.raises(kubernetes_validate.ValidationError, match="port"):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_compose_takes_its_files() -> None:
    check(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *DEPLOY.glob("compose*.yaml"))


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    text = (DEPLOY / "systemd" / "mitoserve.service").read_text()
    installed = text.replace("/opt/mitoserve/.venv/bin/mitoserve", sys.executable)
    assert installed != text
    unit = tmp_path / "mitoserve.service"
    unit.write_text(installed)
    check(analyze, "verify", "--man=no", unit)


def test_kustomizations_name_files_that_are_there() -> None:
    for path in (DEPLOY / "kubernetes").rglob("kustomization.yaml"):
        for resource in yaml.safe_load(path.read_text())["resources"]:
            assert (path.parent / resource).exists()


def test_every_file_that_compose_mounts_is_there() -> None:
    mounted = [path for file in DEPLOY.glob("compose*.yaml") for path in re.findall(r"- (\./[^:]+):", file.read_text())]
    assert mounted
    assert [path for path in mounted if not (DEPLOY / path).exists()] == []


def test_every_file_that_the_container_copies_is_there() -> None:
    text = (DEPLOY / "Dockerfile.grand-challenge").read_text()
    copied = [path for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for path in line.split()[:-1]]
    assert "serving" in copied
    assert [path for path in copied if not (ROOT / path).exists()] == []
    command = re.search(r'^ENTRYPOINT \["[^"]+/mitoserve", "([^"]+)"\]$', text, re.MULTILINE)
    assert command is not None
    assert command[1] in COMMANDS


def test_only_variables_that_exist_are_set() -> None:
    known = {f"MITOSIS_{name.upper()}" for name in ServerSettings.model_fields}
    files = [p for p in DEPLOY.rglob("*") if p.is_file()] + [ROOT / "bentofile.yaml", *(ROOT / "docs").glob("*.md")]
    for path in files:
        stated = set(re.findall(r"MITOSIS_[A-Z0-9_]+", path.read_text(errors="replace")))
        # Of the data for training and tests, and of the client: not of the server.
        assert stated - known - {"MITOSIS_DATA", "MITOSIS_KEY"} == set(), path


def test_the_probes_ask_what_the_server_answers() -> None:
    deployment = yaml.safe_load((DEPLOY / "kubernetes" / "deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["startupProbe"]["httpGet"]["path"] == "/readyz"


def test_grafana_provisioning_and_dashboard_agree() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "mitoserve.json").read_text())
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    (variable,) = dashboard["templating"]["list"]
    assert variable["current"]["value"] == source["datasources"][0]["uid"]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {"${datasource}"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.parametrize("variant", ["gpu", "several"])
def test_patches_fit_what_they_patch(variant: str) -> None:
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / variant / "kustomization.yaml").read_text())
    for patch in kustomization["patches"]:
        (manifest,) = [
            m for m in map(yaml.safe_load, (p.read_text() for p in MANIFESTS)) if is_target(m, patch["target"])
        ]
        operations = yaml.safe_load(patch["patch"])
        if isinstance(operations, dict):
            assert operations["$patch"] == "delete"
            assert is_target(operations, patch["target"])
            continue
        for operation in operations:
            apply(operation, manifest)
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def is_target(manifest: dict[str, Any], target: dict[str, str]) -> bool:
    return target == {"kind": manifest["kind"], "name": manifest["metadata"]["name"]}


def apply(operation: dict[str, Any], manifest: Any) -> None:
    """Do what one operation of a JSON patch (RFC 6902) says; a replaced value must be there."""
    *parents, last = (part.replace("~1", "/") for part in operation["path"].removeprefix("/").split("/"))
    node = manifest
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node[key]
    if isinstance(node, list) and operation["op"] == "add":
        assert last == "-"
        node.append(operation["value"])
        return
    at = int(last) if isinstance(node, list) else last
    assert operation["op"] == "add" or node[at] is not None
    node[at] = operation["value"]
