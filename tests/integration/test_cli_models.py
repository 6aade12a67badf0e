"""`mitoserve models` on quick models, in this process."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serving.cli import main
from tests.quick_models import write_quick_models
from tests.unit.serving.adoption.foreign import state_map, write_contract, write_map

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOSIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MITOSIS_MODELS", str(write_quick_models(tmp_path / "models")))
    monkeypatch.setenv("MITOSIS_PROVIDERS", "CPUExecutionProvider")
    monkeypatch.setenv("MITOSIS_MODEL_WINDOW_S", "10")


def run(*arguments: object, command: str = "models") -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, [command, *(str(a) for a in arguments)])


def lines(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines()]


def serving() -> list[str]:
    rows = lines(run("list"))
    return [f"{row[1]}@{row[3]}" for row in rows if "serves" in row]


def test_a_version_is_added_promoted_and_gone_back_from(tmp_path: Path) -> None:
    new = write_quick_models(tmp_path / "new", "0.2", scale=30)
    assert serving() == ["det@0.0.1", "reg-ns@0.0.1"]
    assert json.loads(run("show", "det@0.0.1").output)["task"] == "detection"
    for name in ("reg-ns", "det"):
        assert run("add", new / name / "0.2").exit_code == 0
    assert "may serve" in run("verify", "det@0.2", "reg-ns@0.2").output
    promoted = run("promote", "0.2").output
    assert "release 2 serves: reg-ns@0.2, det@0.2" in promoted
    assert "warning: there is no golden set, so nothing was measured of it before it serves" in promoted
    assert serving() == ["det@0.2", "reg-ns@0.2"]
    assert "release 3 serves: reg-ns@0.0.1, det@0.0.1" in (back := run("rollback").output)
    assert "warning" not in back, "it served before"
    assert serving() == ["det@0.0.1", "reg-ns@0.0.1"]
    assert run("retire", "det@0.2").exit_code == 0
    refused = run("promote", "0.2")
    assert refused.exit_code == 1
    assert "det@0.2 is retired" in refused.output
    rows = [row for row in lines(run("releases")) if row[1:2] and row[1].isdigit()]
    states = [next(s for s in ("serves", "served", "waits") if s in row) for row in rows]
    assert states == ["serves", "served", "served"]
    done = [json.loads(line)["action"] for line in run("show", command="audit").output.splitlines()]
    assert done == ["models add", "models add", "models promote", "models rollback", "models retire"]


def test_what_cannot_be_done_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "det" / "0.0.1" / "model.onnx").write_bytes(b"other")
    for arguments, reason in {
        ("verify",): "SHA-256",
        ("promote", "0.0.1"): "SHA-256",
        ("show", "det"): "write it like det@1.1.0",
        ("show", "det@9"): "no version det@9",
        ("add", str(tmp_path)): "no card.json in",
        ("rollback",): "no earlier release",
    }.items():
        result = run(*arguments)
        assert (arguments, result.exit_code) == (arguments, 1)
        assert reason in result.output
    monkeypatch.setenv("MITOSIS_MODELS", str(tmp_path / "nothing"))
    assert "there are no models" in run("list").output


def test_a_network_of_others_is_adopted_promoted_and_scores(tmp_path: Path) -> None:
    network, contract = write_map(tmp_path / "net.onnx"), write_contract(tmp_path / "contract.yaml", state_map())
    adopted = run("adopt", network, "--contract", contract)
    assert adopted.exit_code == 0, adopted.output
    assert "points@1.0.0 is kept" in adopted.output
    assert serving() == ["det@0.0.1", "reg-ns@0.0.1"]
    assert "serves: points@1.0.0" in run("promote", "points@1.0.0").output
    assert serving() == ["points@1.0.0"]
    again = run("adopt", network, "--contract", contract)
    assert again.exit_code == 1
    assert "versions never change" in again.output
