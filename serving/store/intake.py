"""From a file that arrived whole to a stored slide."""

import os
import shutil
import uuid
from pathlib import Path

from serving.store.archives import is_archive, unpack
from serving.store.naming import suffix_of
from serving.store.slides import SlideStore, StoredSlide


def store_received(
    store: SlideStore, file: Path, *, owner: str, name: str, max_bytes: int, sha256: str = "", kept: bool = True
) -> StoredSlide:
    """The slide in a file that arrived whole: as it is, or unpacked. Work is done in new folders beside the file.

    sha256 : of the file, where it is known

    Raises
    ------
    MitoserveError
        If it is no slide.
    """
    folder = file.parent / f"slide-{uuid.uuid4().hex}"
    try:
        if is_archive(file):
            main = unpack(file, folder, max_bytes=max_bytes)
            return store.add(folder, main, owner=owner, name=_inner_name(main, name), kept=kept)
        folder.mkdir()
        main = f"slide{suffix_of(name)}"
        os.link(file, folder / main)  # the file itself stays until its row says that it became a slide
        return store.add(folder, main, owner=owner, name=name, sha256=sha256, kept=kept)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _inner_name(main: str, archive_name: str) -> str:
    return archive_name if main == "." else Path(main).name
