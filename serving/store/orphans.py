"""What no row names is deleted late: after two looks a day apart, and never where it is most of what there is.

A row may be missing because its folder is left over, or because the database is not the right one or was brought back from a
backup. A day is time to notice the second.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

APART_S = 86400.0
"""Between the first look that finds something named by no row and the one after which it goes."""

_log = logging.getLogger("mitoserve.retention")


class OrphanTracker:
    """Remembers since when what was found is there, also over restarts."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._told = 0

    def due(self, orphans: Mapping[str, str], *, total: int, now: float) -> list[str]:
        """Names of those strays that may go now: seen a day ago and unchanged since; none where they are most.

        strays : by name, how each looks: a text that differs where it was changed
        total : how many there are, of which these are named by no row
        now : seconds since 1970
        """
        known = self._read()
        same = {name for name, look in orphans.items() if name in known and known[name][1] == look}
        seen = {name: known[name] if name in same else (now, look) for name, look in orphans.items()}
        if seen != known:
            self._write(seen)
        if 2 * len(orphans) > total:
            if len(orphans) != self._told:
                _log.error(
                    "%d of %d folders are named by no row of the database; none is deleted: is it the right one? "
                    "`mitoserve state scrub` lists them",
                    len(orphans),
                    total,
                )
            self._told = len(orphans)
            return []
        self._told = 0
        return [name for name, (at, _) in seen.items() if now - at >= APART_S]

    def _read(self) -> dict[str, tuple[float, str]]:
        """What was found and is there still; nothing where the file is lost or damaged, and then all is new."""
        try:
            return {
                str(name): (float(at), str(look)) for name, (at, look) in json.loads(self._file.read_bytes()).items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self, seen: Mapping[str, tuple[float, str]]) -> None:
        part = self._file.with_name(f".{self._file.name}.part")
        with suppress(OSError):  # what is not noted is seen for the first time again
            part.write_text(json.dumps(seen))
            part.replace(self._file)


def fingerprint_folder(path: Path) -> str:
    """How a folder looks, for `OrphanTracker`: another text where it was replaced, or its entries changed."""
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"{found.st_ino}:{found.st_mtime_ns}"
