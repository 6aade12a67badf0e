"""Zips and tars as they are written, and as nobody should write them."""

import io
import tarfile
import zipfile
from pathlib import Path

MIB = 2**20
PICTURE = b"\xff\xd8\xff" + bytes(200)
TIFF = b"II*\0" + bytes(200)
MRXS = {
    "S1.mrxs": PICTURE,
    "S1/Slidedat.ini": b"\xef\xbb\xbf[HIERARCHICAL]\r\nINDEXFILE = Index.dat\r\n[DATAFILE]\r\nFILE_COUNT = 1\r\nFILE_0 = Data0000.dat\r\n",
    "S1/Index.dat": b"x",
    "S1/Data0000.dat": bytes(5000),
}


def make_zip(path: Path, entries: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip of entries by name."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, compression
            archive.writestr(info, content)
    return path


def make_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    """A tar of members. mode : of `tarfile.open`"""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def pack(path: Path, entries: dict[str, bytes], mode: str) -> Path:
    """A zip or tar of entries by name."""
    if mode == "zip":
        return make_zip(path, entries)
    return make_tar(path, [(plain(name), content) for name, content in entries.items()], mode)


def plain(name: str) -> tarfile.TarInfo:
    """A member that is a file."""
    return tarfile.TarInfo(name)


def contents(folder: Path) -> dict[str, bytes]:
    """What lies below a folder, by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def header(name: bytes, kind: bytes, size: int) -> bytes:
    """One block of a tar."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108], block[124:136], block[156:157] = b"0000644\0", b"%011o\0" % size, kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, kind: bytes, content: bytes) -> bytes:
    """A header with what follows it."""
    return header(name, kind, len(content)) + content + bytes(-len(content) % 512)
