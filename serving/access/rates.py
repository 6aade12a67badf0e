"""How often someone may ask: a token bucket for each, full at the start, filled again evenly over a minute."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_BUCKETS = 10_000
"""Callers that are remembered; beyond it the one that asked longest ago is forgotten, so memory is bounded."""


class Buckets:
    """The buckets of all callers of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, *, per_minute: int) -> float:
        """Seconds until `caller` may ask again; 0 if it may now, which takes one token from its bucket."""
        with self._lock:
            tokens = self._tokens(caller, per_minute)
            if tokens < 1:
                return (1 - tokens) * 60 / per_minute
            self._buckets[caller] = (tokens - 1, self._clock())
            self._buckets.move_to_end(caller)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
            return 0.0

    def _tokens(self, caller: str, per_minute: int) -> float:
        tokens, since = self._buckets.get(caller, (float(per_minute), self._clock()))
        return min(per_minute, tokens + (self._clock() - since) * per_minute / 60)
