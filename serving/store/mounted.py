"""Slides that lie in a read-only folder of the operator's and are analysed there."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.slides.slidefiles import slide_files
from serving.store.errors import NotFoundError, SlideChangedError, SlideRootError


def find_mounted(root: Path | None, name: str) -> Path:
    """The file that `name` means below `root`, links followed.

    Raises
    ------
    SlideRootError
        If no folder is mounted, or the name leads out of it.
    NotFoundError
        If there is no such file.
    UnsupportedFormatError, UnreadableSlideError
        If it is a folder that does not hold exactly one slide.
    """
    if root is None:
        raise SlideRootError("this server has no folder of slides; upload the slide, or set MITOSIS_SLIDE_ROOT")
    if not name.isprintable() or "\\" in name:
        raise SlideRootError("the path is no plain name; give it as it is below the server's folder of slides")
    base = root.resolve()
    try:
        # Without `strict`, a name that leads out is told from one that is missing.
        path = _resolve_unicode(base, name).resolve()
    except (OSError, RuntimeError) as error:
        raise NotFoundError(f"there is no slide {name[:200]!r} in the server's folder") from error
    if not path.is_relative_to(base) or path == base:
        raise SlideRootError(f"{name[:200]!r} leads out of the server's folder of slides")
    if not os.path.exists(path):  # unlike Path's, False of a name that is too long for the disk
        raise NotFoundError(f"there is no slide {name[:200]!r} in the server's folder")
    for file in slide_files(path).paths:
        if not file.resolve().is_relative_to(base):
            raise SlideRootError(f"{name[:200]!r} holds a link that leads out of the server's folder of slides")
    return path


def _resolve_unicode(base: Path, name: str) -> Path:
    """The path as it lies on the disk: accented letters are one character there or two, and a client may write the other."""
    found = base / name
    if os.path.exists(found):
        return found
    found = base
    for part in PurePosixPath(name).parts:
        same, wanted = found / part, unicodedata.normalize("NFC", part)
        if not os.path.exists(same) and os.path.isdir(found):
            same = next((p for p in found.iterdir() if unicodedata.normalize("NFC", p.name) == wanted), same)
        found = same
    return found


def make_stamp(path: Path) -> str:
    """Sizes and times of a slide's files, by which a change is noticed."""
    return make_files_stamp(slide_files(path).paths)


def make_files_stamp(paths: Iterable[Path]) -> str:
    """Number, sizes and latest time of files."""
    states = [file.stat() for file in paths]
    return f"{len(states)}:{sum(s.st_size for s in states)}:{max((s.st_mtime_ns for s in states), default=0)}"


def check_unchanged(path: Path, stamp: str) -> None:
    """Make sure that a mounted slide is what it was when it was hashed.

    The error names no file: another owner may have named the same slide by another path.

    Raises
    ------
    SlideChangedError
        If it was changed or removed.
    """
    try:
        same = make_stamp(path) == stamp
    except (OSError, UnreadableSlideError, UnsupportedFormatError):
        same = False
    if not same:
        raise SlideChangedError("this slide in the server's folder of slides was changed or removed; register it again")
