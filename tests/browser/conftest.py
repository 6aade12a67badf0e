import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.chromium import find_chromium

expect.set_options(timeout=300_000)  # a busy machine takes its time


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Of this package alone: while Playwright runs, the thread has an event loop, and no test after may start its own."""
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium on this machine; `make browser` says how to get one")
    with sync_playwright() as playwright:
        # Inside a container there is no namespace to put a sandbox into; the pages are the project's own.
        chromium = playwright.chromium.launch(executable_path=str(found), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1280 x 800 px on which no script fails and which loads nothing that its policy forbids."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(300_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    yield page
    context.close()
    assert faults == []


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where pictures of the page go: `MITOSIS_SCREENSHOTS`, to look at them."""
    folder = Path(os.environ.get("MITOSIS_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
