"""What an archive may cost: bytes, memory, processor time, entries."""

import gzip
import lzma
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from serving.core.errors import SlideTooLargeError
from serving.slides.slidefiles import MAX_ENTRIES
from serving.store.archives import unpack
from serving.store.errors import ArchiveError
from serving.store.unpacking import extract_in_process
from tests.archives import MIB, TIFF, header, make_zip, member


def test_a_bomb_is_stopped_as_it_comes_out(tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "z", {"slide.svs": bytes(200 * MIB)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < MIB
    with pytest.raises(SlideTooLargeError, match="times its size"):
        unpack(bomb, tmp_path / "out", max_bytes=2**40)
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) <= 21 * MIB


def test_headers_count_like_contents(tmp_path: Path) -> None:
    """Extended headers of 300 MiB that say that they are names, in archives of some KB: nothing of them is held."""
    size = 300 * MIB
    packer = lzma.LZMACompressor(preset=0)
    body = b"".join([packer.compress(b"a" * MIB) for _ in range(size // MIB)]) + packer.flush()
    for kind in (b"x", b"g", b"L", b"K", b"X"):
        (tmp_path / "t").write_bytes(lzma.compress(header(b"./pax", kind, size)) + body)
        assert (tmp_path / "t").stat().st_size < MIB
        said, largest_kib = _unpack_apart(tmp_path / "t", tmp_path / f"out-{ord(kind)}")
        assert "header" in said
        assert largest_kib <= 200 * 1024, "of the largest child"


def _unpack_apart(archive: Path, folder: Path) -> tuple[str, int]:
    """What unpacking says, and the memory of its largest child, KiB. In a small process of its own: a child counts as large as
    what started it, and a process of many tests is larger than what is asked for."""
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom serving.store.archives import unpack\n"
        "from serving.store.errors import ArchiveError\n"
        "try:\n    unpack(Path(sys.argv[1]), Path(sys.argv[2]), max_bytes=2**40)\n"
        "except ArchiveError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(archive), str(folder)], capture_output=True, text=True, check=True
    )
    *said, kib = done.stdout.splitlines()
    return " ".join(said), int(kib)


def test_small_headers_without_end_are_stopped(tmp_path: Path) -> None:
    comment = b"60000 comment=" + b"a" * (60000 - 15) + b"\n"
    extended = member(b"pax", b"x", comment)
    members = [extended + member(b"f%d" % number, b"0", b"") for number in range(500)]
    (tmp_path / "t").write_bytes(gzip.compress(b"".join(members), 6))
    with pytest.raises(SlideTooLargeError):
        unpack(tmp_path / "t", tmp_path / "out", max_bytes=2**40)
    (tmp_path / "t").write_bytes(member(b"pax", b"x", b"11 path=ab\n") * 3000)
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "t", tmp_path / "nested", max_bytes=2**40)


def test_a_zip_with_a_million_records_is_refused_before_they_are_parsed(tmp_path: Path) -> None:
    record = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    records = record * 1_000_000
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(records), 4, 0)
    (tmp_path / "z").write_bytes(b"PK\3\4" + records + end)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(ArchiveError, match="entries"):
        unpack(tmp_path / "z", tmp_path / "out", max_bytes=2**40)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert now.ru_utime - used.ru_utime < 5, "processor time, which a busy machine does not change; they took 26 s"


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    make_zip(tmp_path / "z", {f"{n}.dcm": b"" for n in range(MAX_ENTRIES + 1)})
    with pytest.raises(ArchiveError, match="entries"):
        extract_in_process(tmp_path / "z", tmp_path / "out", MIB)


def test_a_dictionary_of_gigabytes_is_no_memory_of_ours(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 64 * 2**20}]
    data = bytearray(lzma.compress(member(b"a.tif", b"0", TIFF) + bytes(1024), filters=filters))
    # The dictionary's size is one byte of the block header, which a CRC covers; 4 GiB is what the largest one means.
    at = 12
    length = (data[at] + 1) * 4
    data[data.index(b"\x21\x01", at) + 2] = 40
    data[at + length - 4 : at + length] = struct.pack("<I", zlib.crc32(data[at : at + length - 4]))
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(ArchiveError, match="memory"):
        unpack(tmp_path / "t", tmp_path / "out", max_bytes=MIB)
