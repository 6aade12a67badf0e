"""Load on one server, and how it shares itself between two keys: `python -m benchmarks.load`.

50 clients upload a small slide each at the same time, 25 with each of two keys, and submit four analyses of it, 200 in all, with quick
models; those of the second key submit theirs when all of the first stand in the line. Meanwhile one client asks for
an analysis without pause. Prints the times of its answers, how long all took, which key's analyses ended while both had some
in the line, and the memory of server, worker and decoders together, the median over each quarter of the time.
"""

import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from serving.access.keys import KeyStore
from serving.settings import ServerSettings
from serving.store.database import open_database
from tests.quick_models import write_quick_models
from tests.samples import noise, write_pyramid
from tests.server_process import ServerProcess, children

CLIENTS, EACH = 50, 4
SIDE = 1200
_PAGE = 4096


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = ServerProcess(folder, write_quick_models(folder / "models"), requests_per_minute=10**6).start()
        tokens = _keys(server.state)
        server.client.headers["Authorization"] = f"Bearer {tokens[0]}"
        slides = [write_pyramid(folder / f"{n}.tif", noise(SIDE, SIDE, seed=n)) for n in range(CLIENTS)]
        over, in_line = threading.Event(), threading.Barrier(CLIENTS)
        with ThreadPoolExecutor(CLIENTS + 2) as pool:
            started = time.monotonic()
            memory = pool.submit(_watch_memory, server.pid, over)
            latencies = pool.submit(_ask, server.port, tokens[0], over)
            clients = [(server.port, path, tokens[n % 2], n % 2, in_line) for n, path in enumerate(slides)]
            wanted = list(pool.map(lambda client: _client(*client), clients))
            accepted = time.monotonic() - started
            owned = [(analysis, key) for key in (0, 1) for some in wanted[key::2] for analysis in some]
            _until_done(server, tokens)
            took = time.monotonic() - started
            over.set()
            seconds, memories = latencies.result(), memory.result()
        ended = [(_analysis(server, analysis, tokens[key]), key) for analysis, key in owned]
        server.stop()
    states = {analysis["state"] for analysis, _ in ended}
    print(
        f"{CLIENTS} uploads and {len(ended)} analyses accepted in {accepted:.1f} s, all done in {took:.1f} s: {states}"
    )
    _print_shares(ended)
    percentiles = statistics.quantiles(seconds, n=100)
    print(
        f"GET /v1/analyses/ID, {len(seconds)} times meanwhile: median {1000 * statistics.median(seconds):.0f} ms, "
        f"95 % within {1000 * percentiles[94]:.0f} ms, slowest {1000 * max(seconds):.0f} ms"
    )
    quarter = len(memories) // 4
    medians = [statistics.median(memories[n * quarter : (n + 1) * quarter]) for n in range(4)]
    print(f"memory of all processes by quarters: {', '.join(f'{median:.0f}' for median in medians)} MiB")


def _keys(state: Path) -> list[str]:
    """Two keys that may score."""
    database = open_database(ServerSettings(state=state))
    made = [KeyStore(database).create(name, ["read", "score"])[0] for name in ("first", "second")]
    database.close()
    return made


def _http(port: int, token: str) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300, headers={"Authorization": f"Bearer {token}"})


def _client(port: int, path: Path, token: str, key: int, in_line: threading.Barrier) -> list[str]:
    """Upload a slide and submit its analyses, with the second key after all of the first; gives their ids."""
    with _http(port, token) as client:
        made = client.post(f"/v1/slides?filename={path.name}", content=path.read_bytes()).raise_for_status()
        if key == 1:
            in_line.wait(300)
        ids = [_submit(client, made.json()["id"], number) for number in range(EACH)]
        if key == 0:
            in_line.wait(300)
        return ids


def _submit(client: httpx.Client, slide: str, number: int) -> str:
    body = {"slide": slide, "options": {"mpp": 0.25, "threshold": 0.3 + number / 10}}
    return str(client.post("/v1/analyses", json=body).raise_for_status().json()["id"])


def _ask(port: int, token: str, over: threading.Event) -> list[float]:
    """Seconds of each answer, one request after the other."""
    seconds = []
    with _http(port, token) as client:
        while not over.is_set():
            newest = client.get("/v1/analyses?limit=1").raise_for_status().json()["analyses"]
            if newest:
                started = time.perf_counter()
                client.get(newest[0]["links"]["self"]).raise_for_status()
                seconds.append(time.perf_counter() - started)
    return seconds


def _analysis(server: ServerProcess, analysis: str, token: str) -> dict[str, Any]:
    answer = server.client.get(f"/v1/analyses/{analysis}", headers={"Authorization": f"Bearer {token}"})
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def _print_shares(ended: list[tuple[dict[str, Any], int]]) -> None:
    """Whose analyses ended while both keys had some in the line: from the last one accepted to the first key that is done."""
    from_then = max(str(analysis["created_at"]) for analysis, _ in ended)
    until = min(max(str(a["finished_at"]) for a, key in ended if key == wanted) for wanted in (0, 1))
    meanwhile = [key for analysis, key in ended if from_then < str(analysis["finished_at"]) <= until]
    before = sum(str(analysis["finished_at"]) <= from_then for analysis, _ in ended)
    print(
        f"{before} had ended when the last was accepted; of the next {len(meanwhile)}, while both keys had some in the line, "
        f"{meanwhile.count(0)} were the first key's and {meanwhile.count(1)} the second's"
    )


def _until_done(server: ServerProcess, tokens: list[str]) -> None:
    for token in tokens:
        server.wait_until(lambda token=token: _count_left(server, token) == 0, 900)  # type: ignore[misc]


def _count_left(server: ServerProcess, token: str) -> int:
    page = server.client.get(
        "/v1/analyses?state=queued&state=running&limit=1", headers={"Authorization": f"Bearer {token}"}
    ).json()
    return len(page["analyses"])


def _watch_memory(pid: int, over: threading.Event) -> list[int]:
    found = []
    while not over.wait(0.2):
        found.append(_resident(pid))
    return found


def _resident(pid: int) -> int:
    """MiB of a process and all below it; what forks share counts for each."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE // 2**20
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return own + sum(_resident(child) for child in children(pid))


if __name__ == "__main__":
    main()
