"""What every attack gets: a folder of its own, quick models, servers, callers, and a place to count in."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from serving.access.access import open_access
from serving.settings import ServerSettings
from tests.clients import bearer
from tests.server_process import ServerProcess
from tests.services import field as tissue

START_S, PATIENCE_S = 600.0, 300.0
"""Of a server's start and of an analysis, on a machine that does much else."""


@dataclass(slots=True)
class AttackTally:
    """What came of an attack."""

    tries: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)
    """Each in a few words: what got out, was lost, or was wrong."""
    skipped: str = ""
    """Why it was not tried."""

    def judge(self, ok: bool, what: str) -> None:
        """Count a try; `what` says what is lost where it is not `ok`."""
        self.tries += 1
        if ok:
            self.survived += 1
        else:
            self.lost.append(what)


@dataclass(frozen=True, slots=True)
class AttackEnvironment:
    """Where one attack runs."""

    folder: Path
    models: Path

    def server(self, **settings: object) -> ServerProcess:
        """A started server whose state is in this folder."""
        return start(ServerProcess(self.folder, self.models, **settings))

    def picture(self, seed: int = 0) -> bytes:
        """A small PNG of generated tissue."""
        return tissue(seed=seed)


def start(server: ServerProcess) -> ServerProcess:
    """Start a server, for the first time or again, and wait until its models are loaded."""
    server.begin()
    server.wait_until(lambda: server.client.get("/readyz").status_code == 200, START_S)
    return server


Attack = Callable[[AttackEnvironment, AttackTally], None]


def caller(server: ServerProcess, name: str, scope: Any = "score", **limits: Any) -> httpx.Client:
    """Somebody with a key of their own."""
    access = open_access(ServerSettings(state=server.state))
    token, _ = access.keys.create(name, [scope], requests_per_minute=100_000, **limits)
    return httpx.Client(base_url=server.client.base_url, headers=bearer(token), timeout=PATIENCE_S)


def upload_slide(server: ServerProcess, content: bytes, name: str = "a.png") -> str:
    """Id of the slide, once it is stored."""
    answer = server.client.post("/v1/slides", files={"slide": (name, content)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def analyse(server: ServerProcess, slide: str, threshold: float = 0.3) -> dict[str, Any]:
    """An analysis of the slide, once it has ended."""
    asked = {"slide": slide, "options": {"mpp": 0.25, "threshold": threshold}}
    answer = server.client.post("/v1/analyses", json=asked)
    assert answer.status_code == 202, answer.text
    address = f"/v1/analyses/{answer.json()['id']}"

    def over() -> bool:
        return server.client.get(address).json()["state"] in ("succeeded", "failed", "cancelled")

    server.wait_until(over, PATIENCE_S)
    return dict(server.client.get(address).json())


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def packed_folder(folder: Path, *names: str) -> bytes:
    """A zip of files and folders that lie in `folder`; by default of all."""
    chosen = [folder / name for name in names] or list(folder.iterdir())
    files = [path for top in chosen for path in ([top] if top.is_file() else sorted(top.rglob("*"))) if path.is_file()]
    return packed({str(path.relative_to(folder)): path.read_bytes() for path in files})


def flip_bit(path: Path, bit: int) -> None:
    """Change one bit of a file in place, as a disk does it; `bit` counts round."""
    content = path.read_bytes()
    bit %= 8 * len(content)
    with path.open("r+b") as file:
        file.seek(bit // 8)
        file.write(bytes([content[bit // 8] ^ 1 << bit % 8]))
