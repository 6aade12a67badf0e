"""The further files of a slide, checked before any reader opens them.

Some formats name other files in a text file (MIRAX: `Slidedat.ini`; Hamamatsu VMS and VMU), and OpenSlide follows such a
name wherever it leads. Others take whatever lies in the folder (DICOM). Here a name is a plain name, and what it names is a
file of the slide's own folder and no link.
"""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.slides.dicomfiles import HEAD_BYTES
from serving.slides.readers.reader import SLIDE_READERS
from serving.slides.slidefiles import TIFF_HEADS

MAX_INDEX_BYTES = 2**20
"""Of a text file that names others. OpenSlide reads no larger `Slidedat.ini`, and VMS files up to 64 KiB."""
MAX_FILES = 10_000
"""Entries of a slide's folder: an MIRAX slide has about 30 files, a DICOM slide up to a few hundred."""
_MIRAX_KEYS = (b"file_", b"indexfile")
_HAMAMATSU_KEYS = (b"imagefile", b"mapfile", b"macroimage", b"optimisationfile")


def find_companion_folder(path: Path) -> Path | None:
    """The folder with the further files of the slide whose main file is `path`; None where it is one file.

    The answer depends on the name and the first bytes alone, since it is also what a reader of the slide may see.
    """
    if path.is_dir():
        return path
    with path.open("rb") as handle:
        reader = SLIDE_READERS.find(path, handle.read(HEAD_BYTES))
    return None if reader is None else reader.folder(path)


def check_folder(path: Path, name: str, *, hard_links: bool = True) -> None:
    """Make sure that each entry of a slide's folder is a file or a folder that lies there.

    name : what errors call the slide
    hard_links : whether files may have further names elsewhere, as in a copy made by `cp -l`

    Raises
    ------
    UnreadableSlideError
        If an entry is a link, a pipe or a device, or there are more than `MAX_FILES`.
    """
    folder = find_companion_folder(path)
    if folder is None or not folder.exists():
        return
    if folder.is_symlink():
        raise UnreadableSlideError(f"the folder beside {name} is a link; put the folder itself beside the slide")
    for count, entry in enumerate(folder.iterdir(), 1):
        if count > MAX_FILES:
            raise UnreadableSlideError(
                f"the folder of {name} holds more than {MAX_FILES} files; put the slide in one of its own"
            )
        _check_entry(entry, name, hard_links=hard_links)


def check_named_files(path: Path, vendor: str, name: str) -> None:
    """Make sure that the files that a slide names are files of its own folder, or are absent.

    vendor : as OpenSlide tells it, whose reader will follow the names

    Raises
    ------
    UnreadableSlideError
        If a name is no plain name, or that of a link.
    UnsupportedFormatError
        If it is not known which files the vendor's format names.
    """
    if vendor not in _NAMED:
        raise UnsupportedFormatError(
            f"{name} is in a format that this version does not read; export it as a tiled TIFF"
        )
    for folder, stated in _NAMED[vendor](path, name):
        if not _is_plain(stated):
            raise UnreadableSlideError(
                f"{name} names a file that is not in its own folder; a slide may only name files beside it: "
                "copy it again from the scanner, with all its files"
            )
        entry = folder / stated.decode()
        if entry.exists() or entry.is_symlink():
            _check_entry(entry, name)


def _check_entry(entry: Path, name: str, *, hard_links: bool = True) -> None:
    state = entry.lstat()
    if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
        raise UnreadableSlideError(
            f"the folder of {name} holds {entry.name!r}, which is a link or a device; replace it by the file itself"
        )
    if not hard_links and stat.S_ISREG(state.st_mode) and state.st_nlink > 1:
        raise UnreadableSlideError(
            f"the folder of {name} holds {entry.name!r}, which has another name elsewhere; replace it by a copy"
        )


def _is_plain(stated: bytes) -> bool:
    """Whether a name is one file's name, in any folder, without anything that a reader might take for more."""
    try:
        text = stated.decode()
    except UnicodeDecodeError:
        return False
    return (
        text not in ("", ".", "..") and text.isprintable() and not any(c in text for c in "/\\") and len(stated) < 256
    )


_Named = Iterator[tuple[Path, bytes]]
"""Of each name: the folder that it counts from, and the name as it is stated."""


def _mirax(path: Path, name: str) -> _Named:
    folder = path.with_suffix("")
    index = folder / "Slidedat.ini"
    if not index.exists() and not index.is_symlink():
        raise UnreadableSlideError(
            f"{name} lacks its folder {folder.name!r} with the pixels; send both: zip -r slide.zip SLIDE.mrxs SLIDE"
        )
    _check_entry(index, name)
    yield from ((folder, stated) for stated in _read_values(index, _MIRAX_KEYS, name))


def _hamamatsu(path: Path, name: str) -> _Named:
    with path.open("rb") as handle:
        tiff = handle.read(4).startswith(TIFF_HEADS)
    if not tiff:  # NDPI is one TIFF
        yield from ((path.parent, stated) for stated in _read_values(path, _HAMAMATSU_KEYS, name))


def _none(path: Path, name: str) -> _Named:
    yield from ()


_NAMED: dict[str, Callable[[Path, str], _Named]] = {
    "mirax": _mirax,
    "hamamatsu": _hamamatsu,
    "dicom": _none,
    "trestle": _none,  # a picture beside it with a name that follows from its own, which is not read
    "aperio": _none,
    "generic-tiff": _none,
    "leica": _none,
    "philips": _none,
    "ventana": _none,
}
"""By the vendor that OpenSlide 4.0.1 tells (src/openslide-vendor-*.c), what the files of its formats name. A format that is
not here is not opened, so that a newer OpenSlide brings none that nobody has looked at."""


def _read_values(index: Path, keys: tuple[bytes, ...], name: str) -> Iterator[bytes]:
    """The value of every line of a GLib key file whose key begins with one of `keys`, in whatever case.

    Groups do not matter here and a line that GLib would leave out counts too, so that no difference between this and
    GLib's parser hides a name.
    """
    with index.open("rb") as handle:
        text = handle.read(MAX_INDEX_BYTES + 1)
    if len(text) > MAX_INDEX_BYTES or b"\0" in text:
        raise UnreadableSlideError(f"{name} has an index of its files that is damaged; copy it again from the scanner")
    for line in text.split(b"\n"):
        key, separator, value = line.partition(b"=")
        key = key.strip().lower()
        if separator and key.startswith(keys):
            yield value.strip()
