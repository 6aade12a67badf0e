"""`python -m benchmarks.attack [NAME...] [--seconds N]`: run the attacks, by default all, and print what was lost.

An attack is a module of this folder with a function `attack(ground, tally)`; its docstring's first line is its title. Each
runs in a process of its own, for at most so many seconds, and whatever it started is ended. The exit code is 1 if anything
was lost.
"""

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.attack.runner import names, run
from tests.quick_models import write_quick_models

SECONDS = 240


def main(arguments: list[str]) -> int:
    """Run attacks by name; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for one attack, at most")
    stated = parser.parse_args(arguments)
    unknown = set(stated.names) - set(names())
    if unknown:
        parser.error(f"no attack {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    table, lost = Table("attack", "tries", "survived", "lost", "seconds"), []
    with tempfile.TemporaryDirectory(prefix="mitoserve-attack-") as folder:
        models = write_quick_models(Path(folder) / "models")
        for name in stated.names or names():
            title = (importlib.import_module(f"benchmarks.attack.{name}").__doc__ or name).splitlines()[0]
            started = time.monotonic()
            tally = run(name, Path(folder), models, stated.seconds)
            lost += [f"{name}: {what}" for what in tally.lost]
            counted = (str(tally.tries), str(tally.survived), str(len(tally.lost)))
            table.add_row(f"{name}: {title}", *counted, f"{time.monotonic() - started:.0f}")
    console = Console(width=160)
    console.print(table)
    for line in lost:
        console.print(line, markup=False)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
