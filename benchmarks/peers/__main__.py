"""`python -m benchmarks.peers [--out peers] [--rounds 3] [--tiles 2] [--providers ...] [--peers ...] [--try-settings]`.

Screens the same slides with Mitoserve, WSInfer, TIAToolbox and LazySlide, by turns, each in an environment of its own that is
made where it is missing; checks that all scored the same windows and, but for the whole-tile form, alike; prints a table and
writes `peers.json` and `peers.md`. Nothing but the packages is fetched.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import PEERS, default_folder, find_python
from benchmarks.peers.inputs import ROOT, PeerInputs
from benchmarks.peers.lattice import Square, UnequalError
from benchmarks.peers.measure import FailedError
from benchmarks.peers.rounds import best_settings, run_rounds
from benchmarks.peers.table import markdown
from benchmarks.peers.tools import Settings, default_providers, ours, peers
from benchmarks.speed.summary import machine
from serving.settings import default_models


def main(arguments: list[str]) -> int:
    """Measure; the exit code is 1 where tools failed or did not do the same."""
    stated = _parse_arguments(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: stated.cores])
    stated.out.mkdir(parents=True, exist_ok=True)
    try:
        pythons = {peer: find_python(stated.environments.absolute(), peer) for peer in stated.peers}
        with tempfile.TemporaryDirectory() as name:
            data = Path(stated.data).absolute()
            found = _measure(
                PeerInputs.prepare(Path(name), stated.models.absolute(), data, pythons, stated.cores), stated
            )
    except (UnequalError, FailedError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    (stated.out / "peers.json").write_text(json.dumps(found, indent=1) + "\n")
    tables = [f"{name}\n\n{markdown(slide['rows'])}\n" for name, slide in found["slides"].items()]
    (stated.out / "peers.md").write_text("\n".join(tables))
    print("\n".join(tables))
    return 0


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("--out", type=Path, default=Path("peers"), help="folder for peers.json and peers.md")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiles", type=int, default=2, help="1 is 81 windows, 2 are 289, 3 are 625")
    parser.add_argument("--slides", nargs="+", default=["generated", "real"], choices=["generated", "real"])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--providers", nargs="+", default=default_providers(), help="of ours, for the whole-tile form")
    parser.add_argument("--models", type=Path, default=default_models(), help="folder of the models")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="where the peers are installed")
    parser.add_argument("--data", type=Path, default=os.environ.get("MITOSIS_DATA", ROOT / "../shared/data"))
    parser.add_argument("--try-settings", action="store_true", help="try others for each peer first, on 81 windows")
    return parser.parse_args(arguments)


def _measure(inputs: PeerInputs, stated: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Settings] = {}
    trials: dict[str, list[dict[str, Any]]] = {}
    if stated.try_settings:
        settings, trials = best_settings(inputs)
    tools = [
        *peers(inputs.models, inputs.script, inputs.pythons, settings),
        *ours(inputs.models, inputs.released, stated.providers),
    ]
    square = Square(stated.tiles)
    slides = inputs.slides(square)
    for name in set(stated.slides) - set(slides):
        print(f"no {name} slide: set MITOSIS_DATA to the folder that holds slides/", flush=True)
    found = {
        name: run_rounds(inputs, slides[name], square, tools, stated.rounds) for name in stated.slides if name in slides
    }
    return {"machine": machine(), "rounds": stated.rounds, "tried": trials, "slides": found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
