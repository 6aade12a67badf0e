"""From a file that arrived whole to a stored slide, and what it is called."""

import os
import re
import shutil
import unicodedata
import uuid
from pathlib import Path

from serving.core.errors import RequestError
from serving.slides.dicomfiles import HEAD_BYTES, is_dicom
from serving.slides.readers.reader import SLIDE_READERS
from serving.slides.slidefiles import SlideFiles
from serving.store.archives import is_archive, unpack
from serving.store.slide_rows import StoredSlide
from serving.store.slides import SlideStore

NAME_LENGTH = 200


def store_received_file(
    store: SlideStore,
    file: Path,
    *,
    owner: str,
    name: str,
    max_bytes: int,
    sha256: str = "",
    kept: bool = True,
    upload: str | None = None,
) -> StoredSlide:
    """The slide in a file that arrived whole: as it is, or unpacked. Work is done in new folders beside the file.

    sha256 : of the file, where it is known; upload : the resumable upload that it was

    Raises
    ------
    MitoserveError
        If it is no slide.
    """
    folder = file.parent / f"slide-{uuid.uuid4().hex}"
    unpacked = folder.with_name(f"un{folder.name}")
    try:
        if is_archive(file):
            found = unpack(file, unpacked, max_bytes=max_bytes)
            name = _inner_name(found, name)
            _move_files(found, folder)
            return store.add(folder, found.main, owner=owner, name=name, kept=kept, upload=upload)
        folder.mkdir()
        main = f"slide{find_suffix(name)}"
        os.link(file, folder / main)  # the file itself stays until its row says that it became a slide
        return store.add(folder, main, owner=owner, name=name, sha256=sha256, kept=kept, upload=upload)
    finally:
        for left in (folder, unpacked):
            shutil.rmtree(left, ignore_errors=True)


def _move_files(found: SlideFiles, folder: Path) -> None:
    """Move a slide's files, and nothing that lay beside them, into the new `folder`."""
    folder.mkdir()
    for name in found.names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (found.folder / name).rename(folder / name)


def _inner_name(found: SlideFiles, archive_name: str) -> str:
    """What people call the slide: its main file's name, or the archive's where all slides of a kind have main files alike."""
    with found.main_path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
    reader = SLIDE_READERS.find(found.main_path, head)
    alike = is_dicom(head) or (reader is not None and reader.owns_folder)
    return archive_name if alike else found.main


def safe_name(stated: str) -> str:
    """The last component of a file name from a client, printable and at most 200 characters with its suffix.

    Raises
    ------
    RequestError
        If nothing is left of it.
    """
    base = re.split(r"[/\\]", unicodedata.normalize("NFC", stated))[-1]
    name = "".join(c for c in base if c.isprintable()).strip().lstrip(".")
    if not name:
        raise RequestError(f"{stated[:80]!r} is no file name; name the file with its suffix, such as slide.svs")
    suffix = find_suffix(name)
    return name[: NAME_LENGTH - len(suffix)].removesuffix(suffix) + suffix if len(name) > NAME_LENGTH else name


def find_suffix(name: str) -> str:
    """The last one or two suffixes of a name in lower case (`.svs`, `.ome.tif`); empty where there is none."""
    found = re.search(r"(\.[A-Za-z0-9]{1,8}){0,2}$", name)
    return found.group().lower() if found else ""
