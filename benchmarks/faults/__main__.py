"""`python -m benchmarks.faults [NAME...] [--kills N] [--minutes M] [--seed N]`: run the named faults, by default all, and print what was counted.

Slides and models are made for the purpose and quick, but `rot` runs the released models. The exit code is 1 if anything accepted was lost, ran twice, ended in
a wrong state, or gave another result than an undisturbed run.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.faults import clock, disk, kills, network, nodes, rot, sharing
from benchmarks.faults.environment import FaultEnvironment, prepare

FAULTS: dict[str, Callable[[FaultEnvironment], str]] = {
    "kills": kills.run,
    "disk-upload": disk.during_upload,
    "disk-scoring": disk.during_scoring,
    "cut-upload": network.run,
    "clock": clock.run,
    "locked": sharing.lock_database,
    "two-servers": sharing.two_servers,
    "stopped-worker": sharing.stop_worker,
    "nodes": nodes.run,
    "rot": rot.run,
}


def main(arguments: list[str]) -> int:
    """Run faults by name; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("names", nargs="*", choices=[*FAULTS, []], metavar="NAME", help=", ".join(FAULTS))
    parser.add_argument("--kills", type=int, default=rot.KILLS, help="of `rot`")
    parser.add_argument("--seed", type=int, default=rot.SEED, help="of `rot`")
    parser.add_argument("--minutes", type=float, default=60, help="of `rot`, until no further kill begins")
    stated = parser.parse_args(arguments)
    faults = FAULTS | {"rot": partial(rot.run, kills=stated.kills, minutes=stated.minutes, seed=stated.seed)}
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare(Path(folder))
        for name in stated.names or faults:
            started = time.monotonic()
            try:
                counted = faults[name](environment.fresh(name))
            except AssertionError as error:
                failed += 1
                counted = f"FAILED: {error}"
            print(f"{name} ({time.monotonic() - started:.0f} s): {counted}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
