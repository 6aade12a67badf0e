"""Whole slides in every format at hand, and what becomes of their bytes: flipped, cut off, tags swapped and forged."""

import gzip
import io
import random
import shutil
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tifffile

from serving.synthetic.slide import generate_slide
from tests.dicom import write_dicom_slide
from tests.formats import write
from tests.ndpi import write_ndpi
from tests.samples import noise, write_dicom, write_mrxs, write_picture, write_pyramid

SIDE = 700
_WAYS = (
    "Aperio JPEG 2000 (33003)",
    "Aperio JPEG 2000 (33005)",
    "JPEG 2000 TIFF (34712)",
    "zstd TIFF",
    "WebP TIFF",
    "OME-TIFF, planar",
    "OME-TIFF, pyramid and macro",
    "OME-TIFF in strips",
    "CZI, uncompressed",
    "CZI, JPEG XR, pyramid",
    "big-endian TIFF, JPEG",
    "16-bit TIFF",
    "planar TIFF",
    "SCN with bounds",
)
"""Of `tests.formats`."""
_EXTREMES = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1)
"""Where integer arithmetic of parsers goes wrong."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """A slide as somebody brings it, a file or an archive; all open."""

    name: str
    data: bytes
    entries: tuple[tuple[int, int], ...]
    """(offset, length) of each entry of a TIFF's directories; empty for other formats."""
    kind: str
    """Format, and for a real slide that it is one."""


def specimens(folder: Path, real: Path | None) -> list[Specimen]:
    """Generated slides, written to `folder`, and those in `real`."""
    pixels = noise(SIDE, SIDE)
    found = {
        f"TIFF, {way}": write_pyramid(folder / f"{way}.tif", pixels, compression=way)
        for way in ("deflate", "jpeg", "lzw")
    }
    found |= {kind.upper(): write_picture(folder / f"picture.{kind}", pixels, mpp=0.25) for kind in ("png", "jpg")}
    found |= {"DICOM": write_dicom(folder / "volume.dcm", pixels), "generated TIFF": folder / "generated.tif"}
    generate_slide(found["generated TIFF"], seed=1, width=SIDE, height=SIDE)
    for number, way in enumerate(_WAYS):
        found[way] = _named(write(folder / f"way-{number}", way, pixels), folder / f"way-{number}")
    found["NDPI"] = write_ndpi(folder / "scan.ndpi", noise(768, 512))
    coded = write(folder / "codestreams", "DICOM, JPEG 2000", pixels)
    found["DICOM, JPEG 2000"] = _named(next(coded.iterdir()), folder / "codestreams")
    dicom = write_dicom_slide(folder / "series", pixels, mpp=0.25)
    mrxs = write_mrxs(folder / "mirax.mrxs", pixels)
    found |= {f"DICOM in {kind}": _pack(folder / "series", kind, [dicom]) for kind in ("zip", "tar", "gztar")}
    found["MRXS in zip"] = _pack(folder / "mirax", "zip", [mrxs, mrxs.with_suffix("")])
    for kind in ("OME-Zarr 0.4, blosc", "OME-Zarr 0.5, blosc, shards"):
        zarr = write(folder / kind.partition(",")[0], kind, pixels)
        found[f"{kind}, in zip"] = _pack(folder / zarr.parent.name, "zip", [zarr])
    if real is not None:
        suffixes = (".svs", ".tif", ".tiff", ".ndpi", ".dcm")
        found |= {f"real, {path.name}": path for path in sorted(real.iterdir()) if path.suffix in suffixes}
    return [Specimen(path.name, path.read_bytes(), read_entries(path), kind) for kind, path in found.items()]


def _named(path: Path, to: Path) -> Path:
    """The file under a name of its own, with its suffix."""
    return path.rename(to.with_name(to.name + "".join(path.suffixes[-1:])))


def _pack(base: Path, kind: str, members: list[Path]) -> Path:
    """An archive of files and folders that lie in one folder."""
    with tempfile.TemporaryDirectory() as name:
        for member in members:
            target = Path(name) / member.name
            shutil.copytree(member, target) if member.is_dir() else shutil.copy(member, target)
        return Path(shutil.make_archive(str(base), kind, name))


def mutate(specimen: Specimen, chance: random.Random) -> tuple[str, bytes]:
    """What was done, by name, and the bytes after it."""
    kind, change = chance.choice(_OF_ARCHIVES if specimen.name.endswith(_ARCHIVES) else _KINDS)
    data = bytearray(specimen.data)
    change(data, specimen, chance)
    return kind, bytes(data)


def _flip_anywhere(data: bytearray, _: Specimen, chance: random.Random) -> None:
    for _turn in range(chance.randint(1, 64)):
        data[chance.randrange(len(data))] ^= chance.randint(1, 255)


def _flip_headers(data: bytearray, specimen: Specimen, chance: random.Random) -> None:
    for _turn in range(chance.randint(1, 8)):
        if specimen.entries:
            offset, length = chance.choice(specimen.entries)
            data[offset + chance.randrange(length)] ^= chance.randint(1, 255)
        else:
            data[chance.randrange(min(len(data), 2048))] ^= chance.randint(1, 255)


def _cut(data: bytearray, _: Specimen, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _swap_tags(data: bytearray, specimen: Specimen, chance: random.Random) -> None:
    """Exchange the ends of two entries, values with or without their types; two stretches of bytes in other formats."""
    for _turn in range(chance.randint(1, 3)):
        if specimen.entries:
            (one, length), (other, _) = chance.sample(specimen.entries, 2)
            start = chance.choice((2, 4, length - length // 3))
            _exchange(data, one + start, other + start, length - start)
        else:
            size = chance.choice((4, 16, 64))
            one, other = (chance.randrange(len(data) - size) for _ in range(2))
            _exchange(data, one, other, size)


def _forge_tags(data: bytearray, specimen: Specimen, chance: random.Random) -> None:
    """Put an extreme number where a value, a count or an offset stands."""
    for _turn in range(chance.randint(1, 3)):
        offset, length = chance.choice(specimen.entries or ((chance.randrange(min(len(data), 2048) - 12), 12),))
        at = offset + chance.choice((4, length - length // 3))
        data[at : at + 4] = chance.choice(_EXTREMES).to_bytes(4, chance.choice(("little", "big")))


def _damage_members(data: bytearray, specimen: Specimen, chance: random.Random) -> None:
    """Unpack an archive, damage some of its files, give some another name, and pack all again."""
    members = _members(bytes(data))
    for _turn in range(chance.randint(1, 3)):
        at = chance.randrange(len(members))
        name, content = members[at]
        changed = bytearray(content)
        if chance.random() < 0.25:
            members[at] = chance.choice(_NAMES).replace("*", name), content
        elif len(changed) > 100:
            chance.choice(_KINDS)[1](changed, Specimen(name, content, (), specimen.kind), chance)
            members[at] = name, bytes(changed)
    data[:] = _archive(members, specimen.name)


def _members(data: bytes) -> list[tuple[str, bytes]]:
    """Name and content of each file in an archive."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(info.filename, archive.read(info)) for info in archive.infolist() if not info.is_dir()]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = [(info, archive.extractfile(info)) for info in archive]
        return [(info.name, file.read()) for info, file in files if file is not None]


def _archive(members: list[tuple[str, bytes]], like: str) -> bytes:
    buffer = io.BytesIO()
    if like.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that stands twice, which is meant
            for name, content in members:
                # The time of day would make other bytes each time.
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0) if like.endswith("gz") else buffer.getvalue()


def _exchange(data: bytearray, one: int, other: int, size: int) -> None:
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


_KINDS: tuple[tuple[str, Callable[[bytearray, Specimen, random.Random], None]], ...] = (
    ("bytes flipped", _flip_anywhere),
    ("headers flipped", _flip_headers),
    ("cut", _cut),
    ("tags swapped", _swap_tags),
    ("tags forged", _forge_tags),
)
_ARCHIVES = (".zip", ".tar", ".tar.gz")
_OF_ARCHIVES = (*_KINDS, *[("files inside damaged", _damage_members)] * len(_KINDS))
"""As often damaged inside as outside, where a checksum mostly finds it first."""
_NAMES = ("../*", "/*", "a\\*", "*/", "*/x", "x" * 300, "./*", "\u202e*", "*\n", "slide.dcm", "__MACOSX/._*")
"""What a file inside an archive may be called; `*` is its own name."""


def read_entries(path: Path) -> tuple[tuple[int, int], ...]:
    """(offset, length) of each entry of a TIFF's directories; none of other formats."""
    if path.read_bytes()[:2] not in (b"II", b"MM"):
        return ()
    with tifffile.TiffFile(path) as tiff:
        length = tiff.tiff.tagsize
        return tuple((tag.offset, length) for page in tiff.pages for tag in tifffile.TiffPage.aspage(page).tags)
