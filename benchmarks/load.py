"""Load on one server: `python -m benchmarks.load`.

50 clients upload a small slide each at the same time and submit four analyses of it, 200 in all, with quick models. Meanwhile
one client asks for analyses without pause. Prints the times of its answers, how long all took, and the memory of server,
worker and decoders together, the median over each quarter of the time.
"""

import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

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
        server = ServerProcess(folder, write_quick_models(folder / "models")).start()
        slides = [write_pyramid(folder / f"{n}.tif", noise(SIDE, SIDE, seed=n)) for n in range(CLIENTS)]
        over = threading.Event()
        with ThreadPoolExecutor(CLIENTS + 2) as pool:
            started = time.monotonic()
            memory = pool.submit(_watch_memory, server.pid, over)
            latencies = pool.submit(_ask, server.port, over)
            wanted = list(pool.map(lambda path: _client(server.port, path), slides))
            accepted = time.monotonic() - started
            ids = [analysis for some in wanted for analysis in some]
            server.wait_until(lambda: _left(server) == 0, 900)
            took = time.monotonic() - started
            over.set()
            seconds, memories = latencies.result(), memory.result()
        states = {server.client.get(f"/v1/analyses/{analysis}").json()["state"] for analysis in ids}
        print(
            f"{CLIENTS} uploads and {len(ids)} analyses accepted in {accepted:.1f} s, all done in {took:.1f} s: {states}"
        )
        percentiles = statistics.quantiles(seconds, n=100)
        print(
            f"GET /v1/analyses/ID, {len(seconds)} times meanwhile: median {1000 * statistics.median(seconds):.0f} ms, "
            f"95 % within {1000 * percentiles[94]:.0f} ms, slowest {1000 * max(seconds):.0f} ms"
        )
        quarter = len(memories) // 4
        medians = [statistics.median(memories[n * quarter : (n + 1) * quarter]) for n in range(4)]
        print(f"memory of all processes by quarters: {', '.join(f'{median:.0f}' for median in medians)} MiB")
        server.stop()


def _client(port: int, path: Path) -> list[str]:
    """Upload a slide and submit its analyses; gives their ids."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
        slide = (
            client.post(f"/v1/slides?filename={path.name}", content=path.read_bytes()).raise_for_status().json()["id"]
        )
        made = []
        for number in range(EACH):
            body = {"slide": slide, "options": {"mpp": 0.25, "threshold": 0.3 + number / 10}}
            made.append(str(client.post("/v1/analyses", json=body).raise_for_status().json()["id"]))
        return made


def _ask(port: int, over: threading.Event) -> list[float]:
    """Seconds of each answer, one request after the other."""
    seconds = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
        while not over.is_set():
            newest = client.get("/v1/analyses?limit=1").json()["analyses"]
            if newest:
                started = time.perf_counter()
                client.get(newest[0]["links"]["self"]).raise_for_status()
                seconds.append(time.perf_counter() - started)
    return seconds


def _left(server: ServerProcess) -> int:
    page = server.client.get("/v1/analyses?state=queued&state=running&limit=1").json()
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
