"""Memory of an upload and of large slides: `python benchmarks/memory.py`.

Prints what a 2 GiB upload adds to a running server's resident memory, and the peak of scoring a 10,000 and a 40,000 px
square slide, mostly glass, each in a process of its own.
"""

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from click.testing import CliRunner

from serving.cli import main as mitoserve

ROOT = Path(__file__).parents[1]
UPLOAD_BYTES = 2 * 2**30
CHUNK = 2**20
PORT = 3977
TISSUE_PX = 2000 * 2000
"""Both slides hold as much tissue: 2,000 x 2,000 px."""


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as folder:
        upload(Path(folder))
        for side in (10_000, 40_000):
            path = Path(folder) / f"{side}.tif"
            size = ["--width", str(side), "--height", str(side), "--tissue", str(TISSUE_PX / side**2)]
            subprocess.run([sys.executable, "-m", "serving.synthetic", path, *size], check=True)
            command = [sys.executable, __file__, "score", str(path), folder]
            print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def upload(folder: Path) -> None:
    """Print the growth of a server during an upload of zeros, which is refused when it is complete."""
    environment = {
        **os.environ,
        "MITOSIS_LOOPBACK_WITHOUT_KEY": "on",
        "MITOSIS_STATE": str(folder / "state"),
        "BENTOML_HOME": str(folder / "bentoml"),
    }
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:MitoserveService", "--port", str(PORT)]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=600) as client:
            while not _ready(client):
                time.sleep(0.2)
            slide = folder / "zeros.svs"
            with slide.open("wb") as handle:
                handle.truncate(UPLOAD_BYTES)
            with slide.open("rb") as handle:
                _measure(server.pid, "form", lambda: client.post("/v1/score", files={"slide": handle}))
            zeros = (bytes(CHUNK) for _ in range(UPLOAD_BYTES // CHUNK))
            _measure(server.pid, "raw body", lambda: client.post("/v1/score?filename=a.svs", content=zeros))
            slide.unlink()
    finally:
        server.terminate()
        server.wait()


def _measure(pid: int, what: str, send: Callable[[], httpx.Response]) -> None:
    before, peaks, done = _resident(pid), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peaks.append(_resident(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    status = send().status_code
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    added = (max(peaks) - before) / 2**20
    print(
        f"2 GiB as {what}: {added:.0f} MiB added to {before / 2**20:.0f} MiB, {seconds:.1f} s, status {status}",
        flush=True,
    )


def score(path: Path, folder: Path) -> None:
    """Score one slide and print this process's peak."""
    result = CliRunner().invoke(mitoserve, ["score", str(path), "--out", str(folder / path.stem)])
    if result.exit_code:
        sys.exit(result.output)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{path.name}: peak {peak:.0f} MiB; {result.output.strip()}")


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _resident(pid: int) -> int:
    """Bytes resident in a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() + sum(_resident(int(child)) for child in children)


if __name__ == "__main__":
    if sys.argv[1:2] == ["score"]:
        score(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
