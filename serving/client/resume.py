"""Where unfinished uploads are noted, so that another process goes on with them."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path


def default_notes() -> Path:
    """The folder of this user for such notes (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mitoserve" / "uploads"


class Notes:
    """One small file for each unfinished upload, named by a hash: neither slide nor server is named in it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_notes()

    def find(self, server: str, slide: Path) -> str | None:
        """Address of the unfinished upload of this very file to this server; None where there is none."""
        try:
            noted: Mapping[str, str] = json.loads(self._note(server, slide).read_text())
            return str(noted["upload"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, server: str, slide: Path, upload: str) -> None:
        """Note that `slide` is on its way to the address `upload`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._note(server, slide).write_text(json.dumps({"upload": upload}))

    def drop(self, server: str, slide: Path) -> None:
        """Forget the upload of `slide`."""
        self._note(server, slide).unlink(missing_ok=True)

    def _note(self, server: str, slide: Path) -> Path:
        found = slide.stat()
        identity = f"{server}\n{slide.resolve()}\n{found.st_size}\n{found.st_mtime_ns}"
        return self._folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
