"""How soon a cancelled analysis frees the worker, with the released models: `python -m benchmarks.cancelling`.

A real server scores a slide; once the first tile is done the analysis is cancelled while another waits. Prints the seconds
from the request to the moment that the worker has taken the next one.
"""

import statistics
import tempfile
import time
from pathlib import Path

from serving.settings import default_models
from serving.synthetic.slide import generate_slide
from tests.server_process import ServerProcess

ROUNDS = 3
PATIENCE_S = 600


def main() -> None:
    """Print the seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "slide.tif"
        generate_slide(path, seed=3, width=4000, height=4000, tissue_fraction=0.9)
        server = ServerProcess(folder, default_models()).start()
        slide = server.client.put("/v1/slides?filename=slide.tif", content=path.read_bytes()).json()["id"]
        taken = _submit(server, slide, 0)
        seconds = []
        for number in range(1, ROUNDS + 1):
            following = _submit(server, slide, number)
            server.wait_until(lambda a=taken: server.client.get(a).json()["progress"]["tiles_done"] > 0, PATIENCE_S)
            started = time.perf_counter()
            server.client.delete(taken).raise_for_status()
            server.wait_until(lambda a=following: server.client.get(a).json()["state"] == "running", PATIENCE_S)
            seconds.append(time.perf_counter() - started)
            taken = following
        server.client.delete(taken)
        server.stop()
    print(
        f"cancelled and the next begun in {statistics.median(seconds):.2f} s (median of {ROUNDS}), {max(seconds):.2f} s at most"
    )


def _submit(server: ServerProcess, slide: str, number: int) -> str:
    """Address of an analysis that no other's result answers."""
    body = {"slide": slide, "options": {"threshold": 0.5 + number / 100}}
    return str(server.client.post("/v1/analyses", json=body).raise_for_status().headers["location"])


if __name__ == "__main__":
    main()
