import contextlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.store.archives import MAX_ENTRIES, is_archive, unpack
from serving.store.errors import ArchiveError
from serving.wsi.errors import SlideTooLargeError

MIB = 2**20


def zip_of(path: Path, entries: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def tar_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def plain(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_an_mrxs_slide_comes_out_as_it_went_in(tmp_path: Path, mode: str) -> None:
    entries = {"S1.mrxs": b"\xff\xd8\xff", "S1/Slidedat.ini": b"[GENERAL]", "S1/Data0000.dat": bytes(5000)}
    path = tmp_path / "slide"
    if mode == "zip":
        zip_of(path, entries)
    else:
        tar_of(path, [(plain(name), content) for name, content in entries.items()], mode)
    assert is_archive(path)
    assert unpack(path, tmp_path / "out", max_bytes=MIB) == "S1.mrxs"
    assert {
        str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()
    } == entries


def test_a_dicom_slide_is_its_folder(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "d.zip", {"study/1.dcm": b"a", "study/2.dcm": b"b"})
    assert unpack(path, tmp_path / "out", max_bytes=MIB) == "study"
    flat = zip_of(tmp_path / "f.zip", {"1.dcm": b"a", "2.dcm": b"b"})
    assert unpack(flat, tmp_path / "flat", max_bytes=MIB) == "."


@pytest.mark.parametrize(
    "name",
    ["../x.svs", "a/../../x.svs", "/etc/x.svs", "..", "a\\..\\x.svs", "C:x.svs", "a/b/c/d/x.svs", "x\x00.svs", "a\n.svs", "n" * 300],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "bad"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, b"x")
    else:
        tar_of(path, [(plain(name), b"x")])
    before = set(tmp_path.rglob("*"))
    try:
        main = unpack(path, tmp_path / "out", max_bytes=MIB)
    except ArchiveError:
        main = None
    written = {p for p in set(tmp_path.rglob("*")) - before if p.is_file()}
    assert all(p.is_relative_to(tmp_path / "out") for p in written)
    if main is not None:  # zip and tar cut names at NUL; what is left must be harmless
        assert "\x00" in name


@given(
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
    | st.from_regex(r"(\.\./|/|\./|a/){1,6}x", fullmatch=True)
)
def test_no_name_writes_outside(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("slip")
    tar_of(folder / "t", [(plain(name), b"x")])
    with contextlib.suppress(ArchiveError):
        unpack(folder / "t", folder / "out", max_bytes=MIB)
    assert {p.name for p in folder.iterdir()} <= {"t", "out"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = plain("slide.svs")
    info.type, info.linkname = kind, "/etc/passwd"
    tar_of(tmp_path / "t", [(info, b"")])
    with pytest.raises(ArchiveError, match="link or a device"):
        unpack(tmp_path / "t", tmp_path / "out", max_bytes=MIB)


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        info = zipfile.ZipInfo("slide.svs")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match="link or a device"):
        unpack(tmp_path / "z", tmp_path / "out", max_bytes=MIB)


def test_a_bomb_is_stopped_as_it_comes_out(tmp_path: Path) -> None:
    bomb = zip_of(tmp_path / "z", {"slide.svs": bytes(200 * MIB)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < MIB
    with pytest.raises(SlideTooLargeError, match="times its size"):
        unpack(bomb, tmp_path / "out", max_bytes=2**40)
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) <= 21 * MIB


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    zip_of(tmp_path / "z", {f"{n}.dcm": b"" for n in range(MAX_ENTRIES + 1)})
    with pytest.raises(ArchiveError, match="entries"):
        unpack(tmp_path / "z", tmp_path / "out", max_bytes=MIB)


@pytest.mark.parametrize(
    "entries",
    [{}, {"a.svs": b"x", "b.svs": b"y"}, {"a.mrxs": b"x", "other/x.dat": b"y"}, {"a/1.dcm": b"x", "b/2.dcm": b"y"}],
)
def test_not_exactly_one_slide_is_refused(tmp_path: Path, entries: dict[str, bytes]) -> None:
    with pytest.raises(ArchiveError, match="exactly one slide"):
        unpack(zip_of(tmp_path / "z", entries), tmp_path / "out", max_bytes=MIB)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    tar_of(tmp_path / "t", [(plain("a.svs"), b"x"), (plain("a.svs"), b"y")])
    with pytest.raises(ArchiveError, match="same name twice"):
        unpack(tmp_path / "t", tmp_path / "out", max_bytes=MIB)


@given(cut=st.integers(4, 400), flip=st.integers(4, 400))
def test_damaged_archives_are_errors_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    zip_of(folder / "z", {"S.mrxs": b"x" * 50, "S/D.dat": bytes(100)}, compression=zipfile.ZIP_DEFLATED)
    data = bytearray((folder / "z").read_bytes())
    data[flip % len(data)] ^= 0x55
    (folder / "z").write_bytes(bytes(data[: max(cut, 4)]) if cut % 2 else bytes(data))
    with contextlib.suppress(ArchiveError, SlideTooLargeError):
        unpack(folder / "z", folder / "out", max_bytes=MIB)
    assert {p.name for p in folder.iterdir()} <= {"z", "out"}


def test_slides_are_no_archives(tmp_path: Path) -> None:
    for number, head in enumerate((b"II*\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"", b"x" * 600)):
        (tmp_path / str(number)).write_bytes(head)
        assert not is_archive(tmp_path / str(number))
