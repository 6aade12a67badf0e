"""A candidate before it counts, and drift after: `python -m benchmarks.before_it_counts --slides 10`.

A real server with small models scores generated slides. Analyses are submitted one by one, with and without a shadow that
repeats all of them: prints how long each waited until it began, what the shadow gathered, what the gates say of a worse
candidate, and what is said of slides of the same and of another stain.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from serving.cli import main as mitoserve
from serving.synthetic.slide import generate_slide, write_geojson
from tests.fakes import make_cards
from tests.quick_models import darkest_place, quick_screening, write_quick_model
from tests.server_process import ServerProcess

SIDE_PX = 1536
TURN_DEG = 12.0
"""By which the eosin of the last slides is bluer."""
PATIENCE_S = 900.0


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=10)
    parser.add_argument("--out", type=Path, help="Keep slides, state and the comparison here.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.out or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        show(folder, args.slides)


def show(folder: Path, count: int) -> None:
    """Run it all below `folder` with three times `count` slides."""
    models = folder / "models"
    for version, threshold in (("0.1", 0.62), ("0.0", 0.5)):  # the candidate calls half of all nuclei figures
        screening, det = make_cards(screening=0.5, detection=threshold)
        for card, graph in ((screening, quick_screening(60.0)), (det, darkest_place())):
            write_quick_model(models, card.model_copy(update={"version": version}), graph)
    golden = folder / "golden"
    golden.mkdir(exist_ok=True)
    for seed in (1, 2, 3):
        truth = generate_slide(golden / f"{seed}.tif", seed=seed, width=SIDE_PX, height=SIDE_PX, tissue_fraction=1.0)
        write_geojson(truth, golden / f"{seed}.geojson")
    like = [_slide(folder, seed, turn=0.0) for seed in range(100, 100 + 2 * count)]
    other = [_slide(folder, seed, turn=TURN_DEG) for seed in range(200, 200 + count)]
    stated: dict[str, Any] = {"providers": "CPUExecutionProvider", "model_window_s": 10, "drift_analyses": count}
    server = ServerProcess(folder, models, **stated).start()
    environment = {"STATE": server.state, "MODELS": models, "PROVIDERS": "CPUExecutionProvider", "MODEL_WINDOW_S": 10}
    for name, value in {**environment, "GOLDEN_SET": golden, "DRIFT_ANALYSES": count}.items():
        os.environ[f"MITOSIS_{name}"] = str(value)
    try:
        alone = _waits(server, like[:count], pause=False)
        print(f"without a shadow: {_summary(alone)}")
        print(_run_command("models", "shadow", "0.0", "--share", "1"))
        beside = _waits(server, like[count:], pause=True)
        print(f"beside a shadow of all analyses: {_summary(beside)}")
        server.wait_until(lambda: _count_done(server) == count, PATIENCE_S)
        print(_run_command("models", "compare", "--shadow", "1", "--out", folder / "comparison"))
        places = server.client.get("/v1/registry/shadows/1/disagreements").json()["places"]
        place = places[0]["place"]
        x, y = int(place["x"] + place["width"] / 2) - 128, int(place["y"] + place["height"] / 2) - 128
        region = f"{max(x, 0)},{max(y, 0)},256,256"
        picture = server.client.get(f"/v1/slides/{places[0]['slide']}/iiif/{region}/128,/0/default.jpg")
        print(f"first disagreement: {place['kind']}, its picture has {len(picture.raise_for_status().content)} bytes")
        print(_run_command("models", "shadow", "--stop"))
        print(_run_command("models", "gate", "0.0"))
        print(_run_command("models", "promote", "0.0"))
        print("slides of the same stain:", _run_command("models", "drift"), sep="\n")
        _waits(server, other, pause=False)
        print(f"slides whose eosin is {TURN_DEG:g} degrees bluer:", _run_command("models", "drift"), sep="\n")
        print(
            *(line for line in server.client.get("/metrics").text.splitlines() if "drift" in line and "#" not in line),
            sep="\n",
        )
    finally:
        server.stop()


def _slide(folder: Path, seed: int, *, turn: float) -> Path:
    path = folder / f"slide-{seed}.tif"
    if not path.exists():
        generate_slide(path, seed=seed, width=SIDE_PX, height=SIDE_PX, tissue_fraction=1.0, stain_turn=turn)
    return path


def _waits(server: ServerProcess, slides: Sequence[Path], *, pause: bool) -> list[float]:
    """Seconds from asking for each analysis to its beginning; with `pause`, each comes in the middle of what a shadow does."""
    waits = []
    for path in slides:
        sha256 = server.client.put(f"/v1/slides?filename={path.name}", content=path.read_bytes()).json()["id"]
        if pause and waits:
            server.wait_until(lambda: _counts(server)["running"] == 1, PATIENCE_S)
        asked = time.time()
        address = server.client.post("/v1/analyses", json={"slide": sha256}).raise_for_status().headers["location"]
        began: list[float] = []
        while not began:
            if server.client.get(address).json()["started_at"] is not None:
                began.append(time.time() - asked)
        waits.append(began[0])
        server.wait_until(lambda at=address: server.client.get(at).json()["state"] == "succeeded", PATIENCE_S)
    return waits


def _counts(server: ServerProcess) -> dict[str, int]:
    found: dict[str, int] = server.client.get("/v1/registry/shadows/1").json()["analyses"]
    return found


def _count_done(server: ServerProcess) -> int:
    return _counts(server)["succeeded"]


def _summary(waits: Sequence[float]) -> str:
    return f"{len(waits)} analyses began after {statistics.median(waits):.2f} s (median), {max(waits):.2f} s at most"


def _run_command(*words: object) -> str:
    result = CliRunner(env={"COLUMNS": "160"}).invoke(mitoserve, [str(word) for word in words])
    return f"$ mitoserve {' '.join(map(str, words))} -> {result.exit_code}\n{result.output.rstrip()}"


if __name__ == "__main__":
    main()
