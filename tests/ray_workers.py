"""The processes that score a cohort's slides, seen from outside."""

import contextlib

import psutil


def find_workers(driver: int) -> list[psutil.Process]:
    """The workers below a driver's process."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # decoders come and go
            if "SlideWorker" in process.name():
                found.append(process)
    return found
