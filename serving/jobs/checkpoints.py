"""What of an analysis is finished: a file a chunk of tiles, each appearing whole or not at all.

The numbers are determined by slide, options and models, so whoever wrote a chunk, it is the same; only the folder's key
has to be right.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from serving.jobs.findings_format import pack_findings, read_findings
from serving.scoring.tile_findings import TileFindings
from serving.store.folder_store import FolderStore
from serving.store.places import CHECKPOINTS


class Checkpoints:
    """The finished chunks of one analysis, in checkpoints/<analysis>/<key>/."""

    def __init__(self, kept: FolderStore, analysis_id: str, key: str) -> None:
        self._kept, self._analysis = kept, f"{CHECKPOINTS}/{analysis_id}"
        self._name = f"{self._analysis}/{key}"
        self.folder = kept.root / self._name
        """A file a chunk, `*.npz`, in the order of their names."""
        self._chunks = 0

    def load(self) -> list[TileFindings]:
        """All tiles of the chunks from the first on, up to the first that is missing or damaged."""
        self._kept.fetch_files(self._name)
        found: list[TileFindings] = []
        self._chunks = 0
        while (tiles := read_findings(self._path(self._chunks))) is not None:
            found.extend(tiles)
            self._chunks += 1
        return found

    def save(self, chunk: Sequence[TileFindings]) -> None:
        """Keep the next chunk; raises `OSError` where the disk is full, and then leaves nothing behind.

        Where it cannot be kept beyond this server, `BlobStoreError` is raised.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(self._chunks)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(pack_findings(chunk))
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._kept.put_file(path, f"{self._name}/{path.name}")
        self._chunks += 1

    def remove(self) -> None:
        """Forget everything about the analysis."""
        shutil.rmtree(self._kept.root / self._analysis, ignore_errors=True)
        self._kept.remove(self._analysis)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"{chunk:06}.npz"
