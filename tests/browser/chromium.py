"""The browser that tests drive: a Chromium of this machine, or none."""

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> Path | None:
    """`MITOSIS_CHROMIUM`, else the first on the path; None where there is none."""
    stated = os.environ.get("MITOSIS_CHROMIUM")
    found = stated or next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


if __name__ == "__main__":
    chromium = find_chromium()
    if chromium is None:
        sys.exit(
            "No Chromium on the path. On Debian and Ubuntu: apt-get install chromium; anywhere: "
            "python -m playwright install chromium, and MITOSIS_CHROMIUM names the program that it brings."
        )
    print(chromium)
