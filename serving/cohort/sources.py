"""Slides as files at hand, wherever they lie: a path stays where it is, anything else is fetched and removed again."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from serving.cohort.errors import MissingSlideError
from serving.cohort.manifest import is_path, parse_file_name
from serving.cohort.storage import fetch, find_blob, open_below
from serving.core.errors import MitoserveError
from serving.slides.readers.reader import SLIDE_READERS
from serving.slides.slidefiles import slide_files
from serving.store.blob_store import fetch_blob
from serving.store.dicomweb import NO_CREDENTIAL, Credential, check_bytes, fetch_series, is_dicomweb

ASKED_AT_ONCE = 32
"""Slides whose size is asked for at the same time; storage answers in tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What is known of a slide before it is opened. size : bytes; modified : seconds since 1970; None: not known."""

    size: int | None = None
    modified: float | None = None


UNKNOWN = SourceFile()


def stat_sources(sources: Iterable[str]) -> list[SourceFile]:
    """Size and time of slides, in their order; nothing is known of one that is missing or in an archive."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return list(pool.map(_facts, sources))


class Sources:
    """Brings slides to hand, the next one while the present one is scored."""

    def __init__(self, folder: Path, *, max_bytes: int, credential: Credential = NO_CREDENTIAL) -> None:
        """`folder`: for what is fetched; `max_bytes`: of one slide; `credential`: for DICOMweb."""
        self._folder, self._max_bytes, self._credential = folder, max_bytes, credential
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._ahead: tuple[str, Future[Path]] | None = None

    @contextlib.contextmanager
    def at_hand(self, source: str) -> Iterator[Path]:
        """The slide's file or folder, until the block ends.

        Raises
        ------
        MissingSlideError, UnavailableError, BlobStoreError
            If there is no such slide, or it cannot be had now.
        SlideTooLargeError
            If it has more bytes than a slide may.
        """
        if is_path(source):
            path = Path(source)
            if not path.exists():
                raise MissingSlideError(f"there is no file {source}")
            yield path
            return
        coming = self._take_prefetched(source) or self._pool.submit(self._fetch, source)
        path = coming.result()
        try:
            yield path
        finally:
            shutil.rmtree(path.parent, ignore_errors=True)

    def expect(self, source: str) -> None:
        """Begin to fetch a slide that is likely to be asked for next."""
        if is_path(source) or (self._ahead is not None and self._ahead[0] == source):
            return
        self._forget()
        self._ahead = source, self._pool.submit(self._fetch, source)

    def close(self) -> None:
        """Remove what was fetched and not asked for."""
        self._forget()
        self._pool.shutdown()

    def _take_prefetched(self, source: str) -> "Future[Path] | None":
        if self._ahead is None or self._ahead[0] != source:
            return None
        coming, self._ahead = self._ahead[1], None
        return coming

    def _forget(self) -> None:
        if self._ahead is not None and not self._ahead[1].cancel():
            self._ahead[1].add_done_callback(_remove)
        self._ahead = None

    def _fetch(self, source: str) -> Path:
        """The fetched slide, alone in a folder of its own."""
        folder = Path(tempfile.mkdtemp(prefix="slide-", dir=self._folder))
        path = folder / parse_file_name(source)
        try:
            if is_dicomweb(source):
                path.mkdir()
                fetch_series(source, path, max_bytes=self._max_bytes, credential=self._credential)
            else:
                self._fetch_objects(source, path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return path

    def _fetch_objects(self, source: str, path: Path) -> None:
        """One object; all below a URL that ends with a slash; and those in the folder beside a main file, such as an MRXS file's."""
        if not source.endswith("/"):
            fetch(source, path, max_bytes=self._max_bytes)
        if not source.endswith("/") and not SLIDE_READERS.has_folder_beside(path.name):
            return
        below = source.rstrip("/") if source.endswith("/") else source.rpartition(".")[0]
        folder = path if source.endswith("/") else path.with_suffix("")
        store = open_below(below)
        blobs = list(store.list())
        check_bytes(sum(blob.size for blob in blobs), self._max_bytes, source)
        if not blobs:
            raise MissingSlideError(f"there are no objects below {below}/")
        folder.mkdir()
        for blob in blobs:
            fetch_blob(store, blob.name, folder / PurePosixPath(blob.name).name)


def _facts(source: str) -> SourceFile:
    try:
        if is_dicomweb(source):
            return UNKNOWN
        if is_path(source):
            states = [file.stat() for file in slide_files(Path(source)).paths]
            return SourceFile(sum(s.st_size for s in states), max((s.st_mtime for s in states), default=None))
        if source.endswith("/"):
            blobs = list(open_below(source).list())
        else:
            store, name = find_blob(source)
            known = store.head(name)
            if known is None:
                return UNKNOWN
            blobs = [known]
        return SourceFile(sum(blob.size for blob in blobs), max((blob.modified for blob in blobs), default=None))
    except (MitoserveError, OSError):
        return UNKNOWN


def _remove(coming: "Future[Path]") -> None:
    if coming.cancelled() or coming.exception() is not None:
        return
    shutil.rmtree(coming.result().parent, ignore_errors=True)
