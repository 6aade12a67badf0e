"""Slides that a server fetches from an archive that its operator named; a caller states no address, only ids."""

import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom

from serving.core.errors import BusyError, RequestError, UnreadableSlideError
from serving.settings import ServerSettings
from serving.slides.slidefiles import find_slide, list_files
from serving.store.dicomweb import Credential, fetch_series
from serving.store.errors import UnavailableError
from serving.store.slide_rows import StoredSlide
from serving.store.slides import SlideStore

AT_ONCE = 2
"""Series that are fetched at the same time, each in a thread of the server."""
RESTS_S = (1.0, 5.0)
"""Between tries: an archive that fetches from tape or restarts answers soon."""
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH = 64
_places = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class ArchivedSeries:
    """A series of an archive: its name in `MITOSIS_DICOMWEB_ARCHIVES`, and the UIDs of study and series."""

    archive: str
    study: str
    series: str


def find_address(series: ArchivedSeries, settings: ServerSettings) -> str:
    """The address of a series.

    Raises
    ------
    RequestError
        If the archive is not one that the operator named, or an id is no UID.
    """
    archives = dict(entry.split("=", 1) for entry in settings.dicomweb_archives)
    if series.archive not in archives:
        known = ", ".join(sorted(archives)) or "none"
        raise RequestError(
            f"this server fetches from no archive {series.archive[:60]!r}, of which it knows: {known}; its operator names them in "
            "MITOSIS_DICOMWEB_ARCHIVES"
        )
    for what, uid in (("study", series.study), ("series", series.series)):
        if len(uid) > _UID_LENGTH or not _UID.fullmatch(uid):
            raise RequestError(f"`{what}` is no DICOM UID: give digits with dots, at most {_UID_LENGTH} characters")
    return f"dicomweb+{archives[series.archive]}/studies/{series.study}/series/{series.series}"


def store_archived_series(
    store: SlideStore,
    series: ArchivedSeries,
    spool: Path,
    *,
    owner: str,
    rest: Callable[[float], None] = time.sleep,
) -> StoredSlide:
    """Fetch a series and keep it like an upload; what breaks off is fetched again, three times in all.

    Parameters
    ----------
    store
        That keeps it.
    series
        Which.
    spool
        Folder for what arrives, on the disk of the store.
    owner
        Whose slide it is.
    rest
        Waits between tries.

    Raises
    ------
    RequestError
        See `find_address`.
    MissingSlideError, UnavailableError, SlideTooLargeError, BusyError
        If there is no such series, the archive does not answer as it should, it is too large, or others are being fetched.
    UnreadableSlideError
        If the archive sends another series.
    MitoserveError
        If it is no slide, or the owner has no room.
    """
    settings = store.settings
    address = find_address(series, settings)
    left = store.bytes_left(owner, 0)
    store.check_room(0)
    free = shutil.disk_usage(spool).free - settings.min_free_bytes
    most = min(settings.max_upload_bytes, free, free if left is None else left)
    credential = Credential(settings.dicomweb_token, settings.dicomweb_hosts)
    folder = spool / f"series-{uuid.uuid4().hex}"
    with _place():
        try:
            for pause in (*RESTS_S, None):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(mode=0o700)
                try:
                    fetch_series(address, folder, max_bytes=most, credential=credential)
                    break
                except UnavailableError:
                    if pause is None:
                        raise
                    rest(pause)
            check_is(series, folder)
            found = find_slide(folder, f"the series {series.series}")
            return store.add(found.folder, found.main, owner=owner, name=f"{series.series}.dcm")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_is(series: ArchivedSeries, folder: Path) -> None:
    """Make sure that all instances in a folder are of a series: another patient's slide must not take its place.

    Raises
    ------
    UnreadableSlideError
        If one is of another, or no DICOM.
    """
    for path in list_files(folder):
        try:
            stated = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"]
            )
            ids = str(stated.get("StudyInstanceUID", "")), str(stated.get("SeriesInstanceUID", ""))
        except Exception as error:  # pydicom raises of all kinds for what is no DICOM
            raise UnreadableSlideError(f"the archive sent something that is no DICOM for {series.series}") from error
        if ids != (series.study, series.series):
            raise UnreadableSlideError(
                f"the archive sent an instance of another study or series for {series.series}; nothing of it was kept"
            )


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=1.0):
        raise BusyError("the server fetches other slides from archives; try again in a moment")
    try:
        yield
    finally:
        _places.release()
