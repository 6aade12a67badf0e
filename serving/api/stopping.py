"""That a server is asked to stop, noticed before it waits for the requests that are under way."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def notice_stop(on_stop: Callable[[], None]) -> Iterator[None]:
    """Call `on_stop` when this process is asked to end, then do what was to be done at that signal.

    ASGI servers first wait for their requests and only then tell the app, but a request that waits for an analysis, or
    follows one, ends by the app's word alone. Outside the main thread, where no signal arrives, nothing is noticed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in _SIGNALS}

    def notice(number: int, frame: FrameType | None) -> None:
        on_stop()
        then = former[signal.Signals(number)]
        if callable(then):
            then(number, frame)

    for number in _SIGNALS:
        if callable(former[number]):
            signal.signal(number, notice)
    try:
        yield
    finally:
        for number, handler in former.items():
            if callable(handler) and signal.getsignal(number) is notice:
                signal.signal(number, handler)
