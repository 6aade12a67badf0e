"""WSInfer's own command `wsinfer run`, with its own tissue, its windows by their middles, and scores as its CSV."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import wsinfer_zoo.client

from benchmarks.peers.runners.job import RunnerJob, WorkTimer, write_result

# At its import the command asks the network for the names of published models. This one is given as a file.
wsinfer_zoo.client.load_registry = lambda: SimpleNamespace(models={})

from wsinfer.cli import infer  # noqa: E402
from wsinfer.cli.cli import cli  # noqa: E402


def main() -> None:
    """Score one slide. model : TorchScript. settings : `backend`, `batch`, `workers`, `speedup`."""
    job, work = RunnerJob.read(), WorkTimer()
    out, settings = Path(job.out) / "results", job.settings
    config = Path(job.out) / "config.json"
    config.write_text(json.dumps(_config(job)))
    arguments = ["--backend", settings["backend"], "--log-level", "warning", "run", "-i", str(Path(job.slide).parent)]
    arguments += ["-o", str(out), "-c", str(config), "-p", job.model, "--patch-overlap-ratio"]
    arguments += [str(1 - job.stride_px / job.window_px), "-b", str(settings["batch"]), "-n", str(settings["workers"])]
    arguments += ["--speedup" if settings["speedup"] else "--no-speedup"]
    # From finding tissue to the CSV; GeoJSON and the record of the run come after that.
    timed = work.timing()
    infer.segment_and_patch_directory_of_slides = _run_before(
        timed.__enter__, infer.segment_and_patch_directory_of_slides
    )
    infer.run_inference = _run_after(lambda: timed.__exit__(None, None, None), infer.run_inference)
    cli(arguments, standalone_mode=False)
    with (out / "model-outputs-csv" / f"{Path(job.slide).stem}.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    # It takes the only output for a logit, and its CSV has the sigmoid.
    scores = [(int(r["minx"]), int(r["miny"]), math.log(p / (1 - p))) for r in rows for p in [float(r["prob_score"])]]
    write_result(job, work, scores, ["wsinfer", "torch", "torchvision", "openslide-bin", "tiffslide", "numpy"])


def _config(job: RunnerJob) -> dict[str, Any]:
    return {
        "spec_version": "1.0",
        "architecture": "resnet50",
        "num_classes": 1,
        "patch_size_pixels": job.window_px,
        "spacing_um_px": job.mpp,
        "class_names": ["score"],
        "transform": [{"name": "ToTensor"}],
    }


def _run_before(before: Callable[[], Any], do: Callable[..., Any]) -> Callable[..., Any]:
    def both(*given: Any, **named: Any) -> Any:
        before()
        return do(*given, **named)

    return both


def _run_after(after: Callable[[], Any], do: Callable[..., Any]) -> Callable[..., Any]:
    def both(*given: Any, **named: Any) -> Any:
        found = do(*given, **named)
        after()
        return found

    return both


if __name__ == "__main__":
    main()
