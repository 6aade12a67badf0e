"""A wall clock that is wrong for the programs that a test starts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SITE = """
import time
_real, _file = time.time, {file!r}
def _shifted():
    try:
        with open(_file) as handle:
            return _real() + float(handle.read() or 0)
    except (OSError, ValueError):
        return _real()
time.time = _shifted
"""
"""Read by every Python that is started: the wall clock with an offset that a file states."""


class WrongClock:
    """A clock for children of this process; it can be set while they run."""

    def __init__(self, folder: Path) -> None:
        self._site = folder / "site"
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_SITE.format(file=str(self._site / "offset")))

    @contextmanager
    def read_by_children(self) -> Iterator[None]:
        """Whatever takes this process's environment inside the block has this clock."""
        before = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = f"{self._site}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PYTHONPATH"] = before

    def set(self, offset_s: float) -> None:
        """Let the clock be so many seconds ahead of the true time."""
        part = self._site / "offset.part"
        part.write_text(str(offset_s))
        part.replace(self._site / "offset")
