"""Which files are one slide: the same answer whether it is named by its folder, by one of its files, or was an archive."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.slides.dicomfiles import HEAD_BYTES
from serving.slides.readers.reader import SLIDE_READERS, SlideReader

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
HAMAMATSU = (".vms", ".vmu")
MAX_ENTRIES = 10_000
"""Files and folders that are looked at. An MRXS slide has about 30 files, a DICOM slide up to a few hundred."""
MAX_INDEX_BYTES = 2**20
"""Of a text file that names the others: those of scanners have some KB."""
_SYSTEM_NAMES = frozenset({
    ".ds_store", ".directory", ".localized", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", ".appledouble",
    ".spotlight-v100", ".trashes", ".fseventsd", ".temporaryitems", "@eadir", "lost+found", "$recycle.bin",
    "system volume information",
})  # fmt: skip
_SYSTEM_NAME = re.compile(r"\._.*|\.nfs[0-9a-f]+|~\$.*|.*[:._\uf03a]zone\.identifier|.*:com\.apple\..*", re.DOTALL)
"""AppleDouble files, NFS placeholders, Office locks, and streams of NTFS as other systems store them (MS-FSCC, 2.1.5)."""


@dataclass(frozen=True, slots=True)
class SlideFiles:
    """The files of one slide."""

    folder: Path
    """That the names count from."""
    main: str
    """Name of the file that a reader opens."""
    names: tuple[str, ...]
    """Of all files, `main` among them, with `/` between folders, in the order of their bytes."""

    @property
    def main_path(self) -> Path:
        """The file that a reader opens."""
        return self.folder / self.main

    @property
    def paths(self) -> list[Path]:
        """All files, in the order of `names`."""
        return [self.folder / name for name in self.names]


def slide_files(path: Path, called: str | None = None) -> SlideFiles:
    """The slide that a file belongs to, or that a folder holds.

    called : what errors call it, by default its own name

    Raises
    ------
    UnsupportedFormatError
        If a folder holds no slide, a DICOM file is no whole-slide image, or an MRXS file lacks its folder.
    UnreadableSlideError
        If a folder holds several slides or a damaged DICOM file, or there is no such file.
    """
    if path.is_dir():
        return find_slide(path, called or path.name)
    if not path.is_file():
        raise UnreadableSlideError(f"there is no file {called or path.name}")
    reader = SLIDE_READERS.find(path, _head(path))
    return _together(path, [path] if reader is None else reader.files(path, called))


def find_slide(folder: Path, called: str) -> SlideFiles:
    """The one slide in a folder or in the folders below it.

    System files, texts and files of unknown kinds are left aside; pictures count only where there is no other slide,
    because they lie beside slides as labels and thumbnails.

    called : what errors call the folder

    Raises
    ------
    UnsupportedFormatError
        If there is none.
    UnreadableSlideError
        If there are several, more than `MAX_ENTRIES` entries, or a damaged DICOM file.
    """
    for reader in SLIDE_READERS.values():
        if (main := (made := reader()).find_main(folder)) is not None:
            return _together(main, made.files(main))
    slides, pictures, others = slides_below(folder, called)
    found = slides or pictures
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted(_relative(slide, folder) for slide in found)[:3])
        raise UnreadableSlideError(
            f"{called} holds {len(found)} slides or series ({names}{', ...' if len(found) > 3 else ''}); "
            "name one of them, or keep each in a folder of its own"
        )
    rest = ", ".join(sorted(path.name for path in others)[:3])
    raise UnsupportedFormatError(f"{called} holds no slide" + (f", only {rest}" if rest else ""))


def slides_below(folder: Path, called: str) -> tuple[list[SlideFiles], list[SlideFiles], list[Path]]:
    """Whole slides, pictures, and files that are neither nor a system's, in a folder and those below it."""
    slides: list[SlideFiles] = []
    pictures: list[SlideFiles] = []
    others: list[Path] = []
    room = MAX_ENTRIES
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        files, folders = _list_folder(place)
        room -= len(files) + len(folders)
        if room < 0:
            raise UnreadableSlideError(f"{called} holds more than {MAX_ENTRIES} files; name the slide itself")
        whole, single, rest, data = _sort_files(files)
        taken = {part for slide in whole for part in slide.paths}
        slides += whole
        pictures += [_together(path, [path]) for path in single if path not in taken]
        others += [path for path in rest if path not in taken]
        if place not in data:
            waiting += [path for path in reversed(folders) if path not in data and not is_system_name(path.name)]
    return slides, pictures, others


def is_system_name(name: str) -> bool:
    """Whether an operating system, and no scanner, gives a file or folder such a name."""
    lower = name.lower()
    return lower in _SYSTEM_NAMES or _SYSTEM_NAME.fullmatch(lower) is not None


def _sort_files(files: Sequence[Path]) -> tuple[list[SlideFiles], list[Path], list[Path], set[Path]]:
    """Slides, pictures and other files among the files of one folder, and the folders with further files of the slides."""
    slides: list[SlideFiles] = []
    grouped: dict[type[SlideReader], list[Path]] = {}
    folders: set[Path] = set()
    pictures, others = [], []
    for path in files:
        reader = SLIDE_READERS.find(path, _head(path))
        if reader is not None and reader.grouped:
            grouped.setdefault(type(reader), []).append(path)
        elif is_system_name(path.name):
            continue
        elif reader is None:
            others.append(path)
        elif reader.picture:
            pictures.append(path)
        else:
            slides.append(_together(path, reader.files(path)))
            folder = reader.folder(path)
            if folder is not None and (reader.owns_folder or folder != path.parent):
                folders.add(folder)
    for kind, paths in grouped.items():
        groups = kind().group(paths)
        in_groups = {path for members in groups for path in members}
        slides += [_together(members[0], members) for members in groups]
        others += [path for path in paths if path not in in_groups]
    return slides, pictures, others, folders


def find_named(index: Path, folder: Path) -> Iterator[Path]:
    """Files of `folder` whose name is a value in the text file `index`, under whichever key.

    So they are at least those that a reader of the format follows, however it takes the keys.
    """
    with index.open("rb") as handle:
        text = handle.read(MAX_INDEX_BYTES)
    values = {line.partition(b"=")[2].strip() for line in re.split(rb"[\r\n]", text)}
    yield from (path for path in list_files(folder) if os.fsencode(path.name) in values and path != index)


def _together(main: Path, paths: Sequence[Path]) -> SlideFiles:
    folder = main.parent
    names = {path.relative_to(folder).as_posix() for path in paths}
    return SlideFiles(folder, main.name, tuple(sorted(names, key=os.fsencode)))


def _relative(slide: SlideFiles, folder: Path) -> str:
    return slide.main_path.relative_to(folder).as_posix()


def list_files(folder: Path) -> list[Path]:
    """Files of a folder, in the order of names; raises `UnreadableSlideError` where there are more than `MAX_ENTRIES`."""
    files, folders = _list_folder(folder)
    if len(files) + len(folders) > MAX_ENTRIES:
        raise UnreadableSlideError(
            f"the folder of the slide holds more than {MAX_ENTRIES} files; put the slide in one of its own"
        )
    return files


def _list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders of a folder, at most one more than `MAX_ENTRIES`, in the order of names.

    Links to folders are left aside, since they may lead in a circle.
    """
    files, folders = [], []
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif _is_file(entry):
                files.append(Path(entry.path))
            if count >= MAX_ENTRIES:
                break
    return sorted(files), sorted(folders)


def _is_file(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a file or a link to one, and no pipe or device, which would not open."""
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return False  # a link that leads nowhere


def _head(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(HEAD_BYTES)
