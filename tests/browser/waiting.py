"""Waiting for what a page's modules say. Playwright's own `wait_for_function` takes a promise for yes, whatever comes of it."""

import time
from typing import Any

from playwright.sync_api import Page

from tests.limits import LONGEST_S


def wait_until(page: Page, asked: str, arg: Any = None) -> None:
    """Wait until an asynchronous function of the page gives true.

    Parameters
    ----------
    asked
        JavaScript of a function, which may give a promise.
    arg
        What the function is called with.

    Raises
    ------
    AssertionError
        If it has not after `LONGEST_S`.
    """
    ends = time.monotonic() + LONGEST_S
    while not page.evaluate(asked, arg):
        assert time.monotonic() < ends, f"not after {LONGEST_S:g} s: {asked.strip()}"
        page.wait_for_timeout(20)  # the page's own events go on meanwhile
