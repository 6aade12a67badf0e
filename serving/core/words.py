"""How messages are put: the line on research use, numbers with nouns, times, and options by the names that readers know.

It loads nothing, since `mitoserve --help` needs it.
"""

import re
import time
from collections.abc import Collection
from typing import Final, overload

RESEARCH_USE: Final = "For Research Use Only. Not for use in diagnostic procedures."


_NAME = re.compile(r"`([a-z][a-z_]*)`")


def format_count(number: int, noun: str) -> str:
    """The number with its noun in singular or plural: `1 slide`, `2 slides`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@overload
def state_time(seconds: float) -> str: ...
@overload
def state_time(seconds: float | None) -> str | None: ...
def state_time(seconds: float | None) -> str | None:
    """Seconds since 1970 as UTC, ISO 8601; None stays None."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def as_options(text: str, options: Collection[str]) -> str:
    """A message for the command line: names of the API in backticks become options of the command.

    options : the options of the command, such as --mpp. A name that is none of them stays as it is; `min_tissue_fraction` is
    `--min-tissue` there, so the longest option counts with which the name begins.
    """

    def option(found: re.Match[str]) -> str:
        name = "--" + found[1].replace("_", "-")
        known = [known for known in options if known == name or name.startswith(f"{known}-")]
        return max(known, key=len) if known else found[0]

    return _NAME.sub(option, text)
