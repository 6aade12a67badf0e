"""Slides of several files, which arrive as one zip or tar: MRXS with its folder of data, or the files of a DICOM slide."""

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from serving.store.errors import ArchiveError
from serving.wsi.errors import SlideTooLargeError

MAX_ENTRIES = 10_000
"""An MRXS slide has about 30 files, a DICOM slide up to a few hundred."""
MAX_RATIO = 20
"""Bytes out for each byte in. Slides hold JPEG data, which does not shrink; a bomb gives thousands."""
MAX_DEPTH = 4
_BLOCK = 2**20
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)

Entry = tuple[str, IO[bytes] | None]
"""A name as the archive states it, and its content; None for a folder."""


def is_archive(path: Path) -> bool:
    """Whether the content, not the name, is that of a zip or tar."""
    with path.open("rb") as handle:
        head = handle.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return True
    return head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC) or head.startswith(_COMPRESSED)


def unpack(archive: Path, folder: Path, *, max_bytes: int) -> str:
    """Unpack a slide into the new `folder`; gives the file to open, relative to it ("." for a DICOM slide).

    Raises
    ------
    ArchiveError
        As `extract`, or if the archive holds not exactly one slide.
    SlideTooLargeError
        As `extract`.
    """
    extract(archive, folder, max_bytes=max_bytes)
    return _main_file(folder)


def extract(archive: Path, folder: Path, *, max_bytes: int) -> None:
    """Unpack a zip or tar into the new `folder`.

    Names that lead elsewhere, links and devices are refused, as are too many files and too many bytes; bytes are counted
    as they come out, whatever the archive states.

    Raises
    ------
    ArchiveError
        If the archive is damaged or holds what it must not.
    SlideTooLargeError
        If more than `max_bytes` come out.
    """
    folder.mkdir()
    limit = min(max_bytes, max(archive.stat().st_size * MAX_RATIO, _BLOCK))
    written = 0
    try:
        with _entries(archive) as entries:
            for count, (name, content) in enumerate(entries, 1):
                if count > MAX_ENTRIES:
                    raise ArchiveError(f"the archive holds more than {MAX_ENTRIES} entries; send one slide alone")
                target = folder.joinpath(*_parts(name))
                if content is None:
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                written += _copy(content, target, limit - written, max_bytes)
    except _BROKEN as error:
        raise ArchiveError(f"the archive is damaged ({str(error)[:200]}); make it again") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError("the archive holds the same name twice; make it again") from error


@contextmanager
def _entries(archive: Path) -> Iterator[Iterator[Entry]]:
    with archive.open("rb") as handle:
        zipped = handle.read(2) == b"PK"
    if zipped:
        with zipfile.ZipFile(archive) as opened:
            yield _zipped(opened)
    else:
        with tarfile.open(archive) as opened_tar:
            yield _tarred(opened_tar)


def _zipped(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        kind = (info.external_attr >> 16) & 0o170000
        if kind not in (0, 0o100000, 0o040000):
            raise ArchiveError(f"{info.filename[:80]!r} in the archive is a link or a device; send files only")
        if info.is_dir():
            yield info.filename, None
        else:
            with archive.open(info) as content:
                yield info.filename, content


def _tarred(archive: tarfile.TarFile) -> Iterator[Entry]:
    for info in archive:
        if info.isdir():
            yield info.name, None
        elif info.isreg():
            content = archive.extractfile(info)
            if content is not None:
                yield info.name, content
        else:
            raise ArchiveError(f"{info.name[:80]!r} in the archive is a link or a device; send files only")


def _parts(name: str) -> tuple[str, ...]:
    """The components of a name that leads nowhere but down."""
    path = PurePosixPath(name)
    parts = tuple(part for part in path.parts if part != ".")
    odd = any(
        part == ".." or "\\" in part or ":" in part or not part.isprintable() or len(part) > 200 for part in parts
    )
    if path.is_absolute() or odd or len(parts) > MAX_DEPTH:
        raise ArchiveError(f"{name[:80]!r} in the archive leads out of it or is no plain name; make it again")
    return parts


def _copy(content: IO[bytes], target: Path, room: int, max_bytes: int) -> int:
    size = 0
    with target.open("xb") as file:
        while block := content.read(_BLOCK):
            size += len(block)
            if size > room:
                raise SlideTooLargeError(
                    f"the archive unpacks to more than {max_bytes} bytes, or to more than {MAX_RATIO} times its size; "
                    "slides do not shrink so much: send one slide, or let the operator raise MITOSIS_MAX_UPLOAD_BYTES"
                )
            file.write(block)
    return size


def _main_file(folder: Path) -> str:
    """The one slide in `folder`, relative to it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("._")]
    mrxs = [path for path in files if path.suffix.lower() == ".mrxs"]
    dicom = {path.parent for path in files if path.suffix.lower() == ".dcm"}
    if len(mrxs) == 1 and mrxs[0].with_suffix("").is_dir():
        return os.path.relpath(mrxs[0], folder)
    if len(dicom) == 1 and not mrxs:
        return os.path.relpath(dicom.pop(), folder)
    if len(files) == 1:
        return os.path.relpath(files[0], folder)
    raise ArchiveError(
        "the archive holds not exactly one slide: pack one SLIDE.mrxs with its folder SLIDE beside it, "
        "or one folder of .dcm files, or a single slide file"
    )
