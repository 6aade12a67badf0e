"""What every attack gets: a folder of its own, quick models, servers, and a place to count in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.server_process import ServerProcess
from tests.services import field as tissue


@dataclass(slots=True)
class Tally:
    """What came of an attack."""

    tries: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)
    """Each in a few words: what got out, was lost, or was wrong."""

    def judge(self, ok: bool, what: str) -> None:
        """Count a try; `what` says what is lost where it is not `ok`."""
        self.tries += 1
        if ok:
            self.survived += 1
        else:
            self.lost.append(what)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where one attack runs."""

    folder: Path
    models: Path

    def server(self, **settings: object) -> ServerProcess:
        """A started server whose state is in this folder."""
        return ServerProcess(self.folder, self.models, **settings).start()

    def picture(self, seed: int = 0) -> bytes:
        """A small PNG of generated tissue."""
        return tissue(seed=seed)


Attack = Callable[[Ground, Tally], None]


def bring(server: ServerProcess, content: bytes) -> str:
    """Id of the slide, once it is stored."""
    answer = server.client.post("/v1/slides", files={"slide": ("a.png", content)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def analysed(server: ServerProcess, slide: str, threshold: float = 0.3) -> dict[str, object]:
    """An analysis of the slide, once it has ended."""
    asked = {"slide": slide, "options": {"mpp": 0.25, "threshold": threshold}}
    answer = server.client.post("/v1/analyses", json=asked)
    assert answer.status_code == 202, answer.text
    address = f"/v1/analyses/{answer.json()['id']}"

    def over() -> bool:
        return server.client.get(address).json()["state"] in ("succeeded", "failed", "cancelled")

    server.wait_until(over, 120)
    return dict(server.client.get(address).json())
