"""`python -m serving.store.unpacking`: unpacks one archive within limits of memory, processor time and bytes, and ends.

Where the kernel has Landlock, it reads the archive and fills the folder, and sees no other file.

It is a process of its own because an archive of a few KB can ask its reader for gigabytes or hours. The last line that it
prints says how it went, as JSON.
"""

import bz2
import errno
import gzip
import io
import json
import lzma
import resource
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from serving.core.errors import MitoserveError, SlideTooLargeError
from serving.isolation.landlock import libraries, restrict_reading
from serving.isolation.limits import give_up
from serving.slides.readers.reader import SLIDE_READERS
from serving.slides.slidefiles import MAX_ENTRIES, find_slide, is_system_name
from serving.store.errors import ArchiveError

MAX_RATIO = 20
"""Bytes out for each byte in. Slides hold JPEG data, which does not shrink; a bomb gives thousands."""
MAX_DEPTH = 20
"""Folders within folders: an archive of a scanner's whole disk has about ten."""
MAX_NAME_BYTES = 255
"""Of each folder or file, as on the file systems of Linux."""
MAX_PATH = 1000
"""Characters of a name with its folders."""
_MAX_HEADER_BYTES = 2**16
"""Of one extended header of a tar: a name and some attributes."""
_MAX_DIRECTORY_BYTES = 2**22
"""Of a zip's directory: `MAX_ENTRIES` names of 300 bytes with their fields fit."""
_BLOCK = 2**20
_SMALL = 2**20
"""Whatever the ratio, an archive may unpack to so many bytes."""
_METHODS = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 10: "TERSE", 20: "Zstandard", 93: "Zstandard", 94: "MP3", 95: "XZ",
    96: "JPEG", 97: "WavPack", 98: "PPMd", 99: "AES encryption",
}  # fmt: skip
"""Compression methods of APPNOTE.TXT 6.3.10, 4.4.5, that Python does not read."""
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError,
    ValueError, IndexError, KeyError, OverflowError, RecursionError, UnicodeError,
)  # fmt: skip
"""What Python's readers raise of a damaged archive."""

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """Bounds of the process that unpacks."""

    max_bytes: int
    """Of all that comes out."""
    memory_bytes: int = 2**29
    """Of its address space, of which the dictionary of `xz -9` takes an eighth."""
    cpu_s: int = 30
    wall_s: float = 120.0


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A member of an archive. content : None for a folder."""

    name: str
    content: "ByteSource | None"


class ByteSource(Protocol):
    """What a member, or a whole archive, is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; the end gives none."""


def extract_in_process(archive: Path, folder: Path, max_bytes: int) -> None:
    """Unpack a zip or tar into the new or empty `folder`; see `serving.store.archives.extract`."""
    folder.mkdir(exist_ok=True)
    bytes_out = _Allowance(archive, max_bytes)
    try:
        with closing(_entries(archive, bytes_out)) as entries:
            for count, entry in enumerate(entries, 1):
                if count > MAX_ENTRIES:
                    raise ArchiveError(f"the archive holds more than {MAX_ENTRIES} entries; send one slide alone")
                _write(entry, folder, bytes_out)
    except _BROKEN as error:
        raise ArchiveError("the archive is damaged; make it again") from error
    except MemoryError as error:
        raise ArchiveError(
            "the archive needs more memory to unpack than a slide's archive should; make it again with a smaller dictionary, "
            "or as a plain zip"
        ) from error
    except OSError as error:
        if error.errno not in _OF_THE_DISK:  # broken data gives none, or leads to places that no file has
            raise ArchiveError("the archive is damaged; make it again") from error
        raise


class _Allowance:
    """Bytes that may still come out of an archive."""

    def __init__(self, archive: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._left = min(max_bytes, max(archive.stat().st_size * MAX_RATIO, _SMALL))

    def take(self, size: int) -> None:
        """Count `size` bytes; raises `SlideTooLargeError` at the limit."""
        self._left -= size
        if self._left < 0:
            raise SlideTooLargeError(
                f"the archive unpacks to more than {self._max_bytes} bytes, or to more than {MAX_RATIO} times its size; "
                "slides do not shrink so much: send one slide, or let the operator raise MITOSIS_MAX_UPLOAD_BYTES"
            )


def _entries(archive: Path, bytes_out: _Allowance) -> Generator[ArchiveMember]:
    with archive.open("rb") as handle:
        head = handle.read(6)
        handle.seek(0)
        if head.startswith(b"PK"):
            yield from _zip_entries(handle, bytes_out)
        elif head.startswith(b"\x1f\x8b"):
            yield from _tar_entries(gzip.GzipFile(fileobj=handle), bytes_out)
        elif head.startswith(b"BZh"):
            yield from _tar_entries(bz2.BZ2File(handle), bytes_out)
        elif head.startswith(b"\xfd7zXZ\0"):
            yield from _tar_entries(lzma.LZMAFile(handle), bytes_out)  # noqa: SIM115 - it has nothing to close but `handle`
        else:
            yield from _tar_entries(handle, bytes_out)


class _DirectoryBound(io.BufferedReader):
    """A file of which no more is read at once than a zip's directory may have, whatever its end states."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = _MAX_DIRECTORY_BYTES + 1 if size is None or size < 0 else size
        found = super().read(wanted) if wanted <= _MAX_DIRECTORY_BYTES + 1 else b""
        if wanted > _MAX_DIRECTORY_BYTES + 1 or len(found) > _MAX_DIRECTORY_BYTES:
            raise ArchiveError(
                f"the archive's directory has room for more than {MAX_ENTRIES} entries; send one slide alone"
            )
        return found


def _zip_entries(handle: IO[bytes], bytes_out: _Allowance) -> Generator[ArchiveMember]:
    # zipfile reads the directory in one piece, and all of it, when it opens an archive.
    with zipfile.ZipFile(_DirectoryBound(io.FileIO(handle.fileno(), closefd=False))) as archive:
        members = archive.infolist()
        if len(members) > MAX_ENTRIES:
            raise ArchiveError(f"the archive holds more than {MAX_ENTRIES} entries; send one slide alone")
        for info in members:
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_file(info.filename, is_link=kind == stat.S_IFLNK)
            if info.filename.endswith(("/", "\\")):
                yield ArchiveMember(info.filename, None)
                continue
            _check_method(info)
            with archive.open(info) as content:
                yield ArchiveMember(info.filename, _Counted(content, bytes_out))


def _check_method(info: zipfile.ZipInfo) -> None:
    name = _printable_name(info.filename)
    if info.flag_bits & 0x1 or info.compress_type == 99:
        raise ArchiveError(f"{name} in the archive is encrypted; make the archive again without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise ArchiveError(
            f"{name} in the archive is compressed with {method}, which is not read; make the archive again with Deflate or "
            "without compression, for example `zip -0 -r slide.zip SLIDE`"
        )


class _Member(tarfile.TarInfo):
    """A tar header that is judged before anything behind it is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        """See `tarfile.TarInfo.frombuf`, which parses one block of 512 bytes."""
        if len(buf) < tarfile.BLOCKSIZE:  # a whole archive ends with blocks of zeros, and nothing behind them is parsed
            raise ArchiveError("the archive is cut off; send it again")
        found = super().frombuf(buf, encoding, errors)
        # tarfile reads an extended header whole, as long as it says that it is, and follows sparse maps without end.
        extended = found.type not in tarfile.REGULAR_TYPES and found.type not in (tarfile.DIRTYPE, *_TAR_OTHERS)
        if found.size < 0 or (extended and found.size > _MAX_HEADER_BYTES) or found.type == tarfile.GNUTYPE_SPARSE:
            raise ArchiveError(
                "the archive has a header that no archive of a slide has; make it again with a common tool"
            )
        return found


_TAR_OTHERS = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
"""Links and devices, of which nothing is read."""


def _tar_entries(unpacked: ByteSource, bytes_out: _Allowance) -> Generator[ArchiveMember]:
    counted = _Counted(unpacked, bytes_out)  # headers and what is skipped count, too
    with _opened_tar(counted) as archive:
        while (info := archive.next()) is not None:
            if info.isdir():
                yield ArchiveMember(info.name, None)
            elif info.isreg() and not info.issparse():
                yield ArchiveMember(info.name, archive.extractfile(info))
            else:
                raise _no_file(info.name, is_link=info.issym() or info.islnk())


def _opened_tar(unpacked: "_Counted") -> tarfile.TarFile:
    """The tar, whose first header is read."""
    try:
        return tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Member, errorlevel=2)
    except tarfile.ReadError as error:
        raise ArchiveError(
            "the archive begins with no header of a tar: if it is one slide that was compressed, send that as it is; else the "
            "archive is damaged, make it again"
        ) from error


class _Counted(io.RawIOBase):
    """A file whose bytes are counted as they are read."""

    def __init__(self, file: ByteSource, bytes_out: _Allowance) -> None:
        self._file, self._bytes_out = file, bytes_out

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, and never more than a block; the end gives none."""
        found = self._file.read(min(size, _BLOCK) if size >= 0 else _BLOCK)
        self._bytes_out.take(len(found))
        return found


def _write(entry: ArchiveMember, folder: Path, bytes_out: _Allowance) -> None:
    parts = plain_parts(entry.name)
    if not parts or any(is_system_name(part) for part in parts):
        return
    target = folder.joinpath(*parts)
    try:
        (target if entry.content is None else target.parent).mkdir(parents=True, exist_ok=True)
        if entry.content is not None:
            with target.open("xb") as file:
                while block := entry.content.read(_BLOCK):
                    file.write(block)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(
            f"the archive holds the same name twice, {_printable_name(entry.name)}; make it again"
        ) from error


def plain_parts(name: str) -> tuple[str, ...]:
    """The components of a name, which leads nowhere but down. Backslashes separate folders, as Windows writes them.

    Raises
    ------
    ArchiveError
        If it leads elsewhere, is too deep or too long, or has characters that no name has; each is said.
    """
    shown, unified = _printable_name(name), name.replace("\\", "/")
    parts = tuple(part for part in unified.split("/") if part not in ("", "."))
    drive = parts and parts[0][1:2] == ":" and not is_system_name(parts[0])
    if unified.startswith("/") or ".." in parts or drive:
        raise ArchiveError(
            f"{shown} in the archive leads out of it; make the archive again from the slide's own folder"
        )
    if len(parts) > MAX_DEPTH:
        raise ArchiveError(
            f"{shown} in the archive lies more than {MAX_DEPTH} folders deep; pack the slide's folder alone"
        )
    if len(unified) > MAX_PATH or any(len(part.encode("utf-8", "replace")) > MAX_NAME_BYTES for part in parts):
        raise ArchiveError(
            f"{shown} in the archive has a name of more than {MAX_NAME_BYTES} bytes, or of {MAX_PATH} with its folders; rename it"
        )
    if any(not part.isprintable() and not is_system_name(part) for part in parts):
        raise ArchiveError(f"{shown} in the archive has a name with characters that cannot be shown; rename it")
    return parts


def _printable_name(name: str) -> str:
    """A member's name for people, whatever is in it."""
    return "".join(c if c.isprintable() else "?" for c in name[:80]) + ("..." if len(name) > 80 else "")


def _no_file(name: str, *, is_link: bool) -> ArchiveError:
    kind = "a link" if is_link else "a device or another special file"
    return ArchiveError(f"{_printable_name(name)} in the archive is {kind}; send files only")


def bind(limits: UnpackLimits, archive: Path, folder: Path) -> None:
    """Bind this process to `limits`, to reading `archive` and to filling `folder`, for good.

    It sees nothing else but libraries, where the kernel has Landlock; it dies with its parent and leaves no core dump.
    """
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.max_bytes),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(kind, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))
    give_up()
    restrict_reading([*libraries(), archive], fill=folder)


def _answer(archive: Path, folder: Path, max_bytes: int, *, slide: bool) -> dict[str, Any]:
    try:
        extract_in_process(archive, folder, max_bytes)
        if not slide:
            return {}
        found = find_slide(folder, "the archive")
        return {"folder": str(found.folder), "main": found.main, "names": found.names}
    except SlideTooLargeError as error:
        return {"too_large": str(error)}
    except MitoserveError as error:
        return {"refused": str(error)}
    except OSError as error:
        return {"errno": error.errno or errno.EIO}
    except (MemoryError, RecursionError):
        return {"refused": "the archive needs more memory to unpack than a slide's archive should; make it again"}


def main() -> None:
    """Unpack what the argument, a JSON object, says."""
    request = json.loads(sys.argv[1])
    limits, archive, folder = UnpackLimits(**request["limits"]), Path(request["archive"]), Path(request["folder"])
    SLIDE_READERS.load()  # this process will see no module any more that is not among the libraries
    bind(limits, archive.resolve(), folder.resolve())
    print(json.dumps(_answer(archive, folder, limits.max_bytes, slide=request["slide"])))


if __name__ == "__main__":
    main()
