"""`mitoserve --help` loads nothing that only a command needs, and says of each command what that says of itself."""

import json
import subprocess
import sys

import click
import pytest

from serving.cli import COMMANDS, main

STANDARD_HELP = [
    "audit",
    "benchmark",
    "cohort",
    "export",
    "grand-challenge",
    "info",
    "keys",
    "models",
    "recount",
    "score",
    "send",
    "serve",
    "state",
    "studies",
    "tune",
]
ALLOWED = {"click", "serving"}
"""What `--help` may load that is not Python's own."""

LISTING = """
import json, sys
before = set(sys.modules)
from serving.cli import main
try:
    main({arguments!r}, prog_name="mitoserve")
except SystemExit:
    pass
print("\\n" + json.dumps(sorted({{name.split(".")[0] for name in set(sys.modules) - before}})))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], []])
def test_help_loads_only_click(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTING.format(arguments=arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded - ALLOWED <= set(sys.stdlib_module_names), loaded - ALLOWED - set(sys.stdlib_module_names)
    assert "serving" in loaded


def test_scoring_loads_nothing_that_keeps_a_server() -> None:
    asked = (
        "import json, sys; import serving.cli.score; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {
        "torch",
        "bentoml",
        "starlette",
        "sqlalchemy",
        "alembic",
        "jwt",
        "httpx",
        "onnx",
        "openvino",
        "pyarrow",
    }
    assert {"onnxruntime", "click"} <= loaded


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_is_listed_of_a_command_is_its_own_help(name: str) -> None:
    command = COMMANDS[name].load()
    assert command.name == name
    listed = click.Command(name, help=COMMANDS[name].help)
    for limit in (30, 45, 80, 200):
        assert listed.get_short_help_str(limit) == command.get_short_help_str(limit)


def test_every_command_is_listed() -> None:
    context = click.Context(main)
    assert main.list_commands(context) == STANDARD_HELP
    help_ = main.get_help(context)
    assert all(f"\n  {name} " in help_ for name in STANDARD_HELP)
    assert main.get_command(context, "absent") is None
