"""`python -m benchmarks.attack [NAME...] [--seconds S] [--minutes M]`: run the attacks, by default all, and print what was lost.

An attack is a module of this folder with a function `attack(environment, tally)`; its docstring's first line is its title. Each
runs in a process of its own on a fresh state, two at a time, for at most so many seconds, and whatever it started is ended. What
has not begun after so many minutes counts as lost. The exit code is 1 if anything was lost.
"""

import argparse
import importlib
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.attack.environment import AttackTally
from benchmarks.attack.runner import names, run
from tests.quick_models import write_quick_models

SECONDS, MINUTES = 240.0, 12.0
AT_ONCE = 2
"""Attacks wait most of their time."""


def main(arguments: list[str]) -> int:
    """Run attacks by name; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for one attack, at most")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all, at most")
    stated = parser.parse_args(arguments)
    unknown = set(stated.names) - set(names())
    if unknown:
        parser.error(f"no attack {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    end = time.monotonic() + 60 * stated.minutes
    with tempfile.TemporaryDirectory(prefix="mitoserve-attack-") as folder:
        models = write_quick_models(Path(folder) / "models")

        def tried(name: str) -> tuple[str, AttackTally, float]:
            started = time.monotonic()
            left = min(stated.seconds, end - started)
            tally = (
                run(name, Path(folder), models, left)
                if left > 0
                else AttackTally(tries=1, lost=["there was no time for it"])
            )
            seconds = time.monotonic() - started
            print(f"{name}: {tally.tries} tries, {len(tally.lost)} lost, {seconds:.0f} s", flush=True)
            return name, tally, seconds

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(tried, stated.names or names()))
    _print(found)
    return 1 if any(tally.lost for _, tally, _ in found) else 0


def _print(found: list[tuple[str, AttackTally, float]]) -> None:
    table, console = Table("attack", "tries", "survived", "lost", "seconds"), Console(width=160)
    for name, tally, seconds in found:
        title = (importlib.import_module(f"benchmarks.attack.{name}").__doc__ or name).splitlines()[0]
        counted = (str(tally.tries), str(tally.survived), str(len(tally.lost)))
        table.add_row(f"{name}: {title}", *(("skipped",) * 3 if tally.skipped else counted), f"{seconds:.0f}")
    table.add_section()
    tallies = [tally for _, tally, _ in found]
    sums = (
        sum(tally.tries for tally in tallies),
        sum(tally.survived for tally in tallies),
        sum(len(tally.lost) for tally in tallies),
    )
    table.add_row("all", *map(str, sums), "")
    console.print(table)
    for name, tally, _ in found:
        for line in ([f"skipped, {tally.skipped}"] if tally.skipped else []) + [f"lost, {what}" for what in tally.lost]:
            console.print(f"{name}: {line}", markup=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
