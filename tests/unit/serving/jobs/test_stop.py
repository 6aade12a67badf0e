"""A worker process is asked to end."""

import signal
import threading
from collections.abc import Iterator

import pytest

from serving.jobs.__main__ import stop_at_sigterm
from tests.limits import LONGEST_S


class Locked(threading.Event):
    """Takes a lock to be set, as every event does, but one that a test can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def set(self) -> None:
        with self.lock:
            super().set()


@pytest.fixture
def _signals() -> Iterator[None]:
    handler, woken = signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)
    yield
    signal.signal(signal.SIGTERM, handler)
    signal.set_wakeup_fd(woken)


@pytest.mark.usefixtures("_signals")
def test_a_signal_in_the_middle_of_a_stop_waits_for_nobody() -> None:
    stop = Locked()
    stop_at_sigterm(stop)
    with stop.lock:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert not stop.is_set()
    assert stop.wait(LONGEST_S)
