"""Runs one attack in a process of its own, for a bounded time."""

import contextlib
import importlib
import multiprocessing
import os
import pkgutil
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import benchmarks.attack
from benchmarks.attack.environment import AttackEnvironment, AttackTally

_OTHERS = {"__main__", "environment", "runner"}


def names() -> list[str]:
    """The attacks, by the names of their modules."""
    return sorted(m.name for m in pkgutil.iter_modules(benchmarks.attack.__path__) if m.name not in _OTHERS)


def _attack(name: str, folder: Path, models: Path, sender: Connection) -> None:
    os.setsid()  # so that its servers can be ended with it
    tally = AttackTally()
    try:
        importlib.import_module(f"benchmarks.attack.{name}").attack(AttackEnvironment(folder, models), tally)
    except Exception as error:
        tally.judge(False, f"{type(error).__name__}: {str(error)[:300]}")
    sender.send((tally.tries, tally.survived, tally.lost, tally.skipped))


def run(name: str, root: Path, models: Path, seconds: float) -> AttackTally:
    """Run one attack; one that does not end in time has lost."""
    folder = root / name
    folder.mkdir()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_attack, args=(name, folder, models, sender))
    process.start()
    sender.close()
    tally = AttackTally()
    try:
        if receiver.poll(seconds):
            tally = AttackTally(*receiver.recv())
            process.join(5)
        else:
            tally.judge(False, f"it did not end in {seconds:g} s")
    except EOFError:
        tally.judge(False, "its process ended")
    process.kill()  # where it has not come so far as to lead a group
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return tally
