"""Leaps of the wall clock, after which nothing is deleted for its age: a wrong time may be put right."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LEAP_S = 60.0
"""While the server runs the wall clock may move away from the monotonic one by so much."""
START_LEAP_S = 86400.0
"""A server may have been off for so long; what looks longer may be a clock that is wrong."""
MIN_REST_S, MAX_REST_S = 3600.0, 86400.0
"""How long nothing is deleted after a leap: as long as the leap, within these, of the time that a server runs."""

_log = logging.getLogger("mitoserve.retention")


class ClockJumpDetector:
    """Keeps the time that was seen last, also over restarts."""

    def __init__(self, file: Path, newest: Callable[[], float | None]) -> None:
        """Watch from the time in `file`; at its first start, from what `newest` gives: that of the tables, seconds since 1970."""
        self._file, self._newest = file, newest
        self._wall: float | None = None
        self._monotonic, self._rest_s = time.monotonic(), 0.0

    def resting(self) -> bool:
        """Whether the clock leapt not long ago; to be asked again and again."""
        wall, monotonic = time.time(), time.monotonic()
        passed = monotonic - self._monotonic
        if self._wall is None:
            seen, self._rest_s = self._read(wall)
            leap = wall - seen
            leapt = not -LEAP_S <= leap <= START_LEAP_S
        else:
            leap = wall - self._wall - passed
            leapt = abs(leap) > LEAP_S
        self._rest_s = max(self._rest_s - passed, 0.0)
        if leapt:
            self._rest_s = max(self._rest_s, min(max(abs(leap), MIN_REST_S), MAX_REST_S))
            _log.warning(
                "the clock is %+.0f s from where it was to be expected; nothing is deleted for its age for %.0f s",
                leap,
                self._rest_s,
            )
        self._wall, self._monotonic = wall, monotonic
        self._write()
        return self._rest_s > 0

    def _read(self, now: float) -> tuple[float, float]:
        """The time seen last, and the rest that was left then."""
        try:
            found = json.loads(self._file.read_bytes())
            return float(found["seen"]), min(max(float(found["rest_s"]), 0.0), MAX_REST_S)
        except (OSError, ValueError, TypeError, KeyError):
            newest = self._newest()
            return now if newest is None else newest, 0.0

    def _write(self) -> None:
        part = self._file.with_name(f".{self._file.name}.part")
        with suppress(OSError):
            part.write_text(json.dumps({"seen": self._wall, "rest_s": self._rest_s}))
            part.replace(self._file)
