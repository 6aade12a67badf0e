"""The viewer's own script, run by Node: which keys it takes out of an address, and that none stays in it."""

import json
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from tests.limits import LONGEST_S
from tests.viewer_tools import NODE

_PROGRAM = """
const kept = {}, shown = [];
globalThis.sessionStorage = { getItem: (k) => kept[k] ?? null, setItem: (k, v) => { kept[k] = v; } };
globalThis.addEventListener = () => {};
globalThis.location = { hash: process.argv[2], pathname: "/lab/", search: "?a=1" };
globalThis.history = { replaceState: (a, b, address) => shown.push(address) };
await import(process.argv[3]);
console.log(JSON.stringify({ kept, shown }));
"""
LOCAL = "mito_local_" + "aB3-_" * 8


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    folder = tmp_path_factory.mktemp("viewer")
    (folder / "package.json").write_text('{"type": "module"}')
    for source in resources.files("serving.viewer").joinpath("lib").iterdir():  # what it imports, and what that imports
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "run.js").write_text(_PROGRAM)
    return str(NODE), folder / "run.js", folder / "api.js"


@pytest.mark.parametrize(
    ("hash_", "key", "left"),
    [
        (f"#key={LOCAL}", LOCAL, "/lab/?a=1"),
        (f"#analysis=7&key={LOCAL}&x=3", LOCAL, "/lab/?a=1#analysis=7&x=3"),
        ("#key=mito_0123456789ab_secret", None, "/lab/?a=1"),  # somebody's own: slides would become theirs
        ("#key=eyJhbGciOi.J9.x", None, "/lab/?a=1"),
        (f"#key={LOCAL}%0d%0aX-Evil:1", None, "/lab/?a=1"),
        ("#key=", None, "/lab/?a=1"),
        ("#analysis=7", None, None),
        ("", None, None),
    ],
)
def test_only_the_key_of_the_machine_is_taken_from_an_address(
    script: tuple[str, Path, Path], hash_: str, key: str | None, left: str | None
) -> None:
    done = subprocess.run(
        [script[0], str(script[1]), hash_, script[2].as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=LONGEST_S,
    )
    found = json.loads(done.stdout)
    assert found["kept"].get("mitoserve-key") == key
    assert found["shown"] == ([] if left is None else [left])
