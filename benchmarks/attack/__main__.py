"""`python -m benchmarks.attack [NAME...] [--seconds N]`: run the attacks, by default all, and print what was lost.

An attack is a module of this folder with a function `attack(ground, tally)`; its docstring's first line is its title. Each
runs in a process of its own, for at most so many seconds, and whatever it started is ended. The exit code is 1 if anything
was lost.
"""

import argparse
import contextlib
import importlib
import multiprocessing
import os
import pkgutil
import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

import benchmarks.attack
from benchmarks.attack.ground import Ground, Tally
from tests.quick_models import write_quick_models

_OTHERS = {"__main__", "ground"}
SECONDS = 240


def names() -> list[str]:
    """The attacks, by the names of their modules."""
    return sorted(m.name for m in pkgutil.iter_modules(benchmarks.attack.__path__) if m.name not in _OTHERS)


def _attack(name: str, folder: Path, models: Path, sender: Connection) -> None:
    os.setsid()  # so that its servers can be ended with it
    tally = Tally()
    try:
        importlib.import_module(f"benchmarks.attack.{name}").attack(Ground(folder, models), tally)
    except Exception as error:
        tally.judge(False, f"{type(error).__name__}: {str(error)[:300]}")
    sender.send((tally.tries, tally.survived, tally.lost))


def run(name: str, root: Path, models: Path, seconds: float) -> Tally:
    """Run one attack; one that does not end in time has lost."""
    folder = root / name
    folder.mkdir()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_attack, args=(name, folder, models, sender))
    process.start()
    sender.close()
    tally = Tally()
    try:
        if receiver.poll(seconds):
            tally = Tally(*receiver.recv())
        else:
            tally.judge(False, f"it did not end in {seconds:g} s")
    except EOFError:
        tally.judge(False, "its process ended")
    process.join(5)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return tally


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
