"""A server in this process, for tests of its resources: stores in a folder of the test's, a detector of planted dots."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.api.app import create_app
from serving.jobs.job import models_key
from serving.jobs.models import GivenModels, LoadedModels
from serving.scoring.detector import AnyDetector, list_cards
from serving.settings import ServerSettings
from tests.clients import LocalClient
from tests.fakes import DotDetector, plant, tissue
from tests.limits import LONGEST_S

DOTS = ((300, 300), (700, 500))


class Blocking(DotDetector):
    """Waits at its first tile until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.entered.set()
        assert self.released.wait(LONGEST_S)
        return super().screen(tiles)


class WithCandidate(GivenModels):
    """What `load` gives, and beside it a candidate for the shadow of a number."""

    def __init__(self, load: Callable[[], AnyDetector], candidate: AnyDetector, number: int) -> None:
        super().__init__(load)
        self._candidate = LoadedModels(candidate, models_key(list_cards(candidate), candidate.provider), release=number)

    def shadow(self, current: LoadedModels | None) -> LoadedModels | None:
        return self._candidate


@contextmanager
def serving(state: Path, load: Callable[[], AnyDetector] = DotDetector, **settings: Any) -> Iterator[LocalClient]:
    """A client of a ready server whose state is in `state`."""
    app = create_app(ServerSettings(state=state, **settings), load=load)
    with LocalClient(app, raise_server_exceptions=False) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client


def without_wait(address: str) -> str:
    """The address of a route, where it is a stream that waits for what comes: of what is there already."""
    return f"{address}?longest_s=0" if address.endswith("/changes") else address


def until(true: Callable[[], bool]) -> None:
    """Return as soon as `true` is."""
    deadline = time.monotonic() + LONGEST_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.01)


def field(width: int = 1000, height: int = 800, *, dots: tuple[tuple[int, int], ...] = DOTS, seed: int = 0) -> bytes:
    """A PNG of tissue with dots; another `seed` makes another file."""
    pixels = tissue(width, height)
    pixels[0, 0] = seed
    for x, y in dots:
        plant(pixels, x, y)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def bring(client: LocalClient, content: bytes, name: str = "a.png") -> str:
    """The id of the slide, once stored."""
    answer = client.post("/v1/slides", files={"slide": (name, content)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def submit(client: LocalClient, slide: str, **request: Any) -> dict[str, Any]:
    """The accepted analysis."""
    answer = client.post("/v1/analyses", json={"slide": slide, "options": {"mpp": 0.25}, **request})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/analyses/{answer.json()['id']}"
    return dict(answer.json())


def wait_for_end(client: LocalClient, analysis: str) -> dict[str, Any]:
    """The analysis, once it has ended."""
    until(lambda: client.get(f"/v1/analyses/{analysis}").json()["state"] in ("succeeded", "failed", "cancelled"))
    return dict(client.get(f"/v1/analyses/{analysis}").json())


def kind(answer: Any) -> str:
    """Kind of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    return str(answer.json()["type"]).removeprefix("urn:mitoserve:problem:")


def events(text: str) -> list[tuple[int, str, str]]:
    """(id, event, data) of each event of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "id" in fields:
            found.append((int(fields["id"]), fields["event"], fields["data"]))
    return found
