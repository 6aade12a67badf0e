import bz2
import contextlib
import gzip
import lzma
import stat
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.errors import BusyError, MitoserveError
from serving.slides.hashing import slide_sha256
from serving.slides.slidefiles import slide_files
from serving.store.archives import AT_ONCE, WAITING, extract, is_archive, unpack
from serving.store.errors import ArchiveError
from serving.store.unpacking import MAX_DEPTH, extract_in_process, plain_parts
from tests.archives import MIB, MRXS, PICTURE, TIFF, contents, make_tar, make_zip, member, pack, plain
from tests.dicom import write_dicom_slide
from tests.examples import draw_examples
from tests.samples import noise, write_picture, write_pyramid


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_an_mrxs_slide_comes_out_as_it_went_in(tmp_path: Path, mode: str) -> None:
    path = pack(tmp_path / "slide", MRXS, mode)
    assert is_archive(path)
    found = unpack(path, tmp_path / "out", max_bytes=MIB)
    assert (found.main, set(found.names)) == ("S1.mrxs", set(MRXS))
    assert contents(tmp_path / "out") == MRXS


def test_a_dicom_slide_is_the_images_of_one_series_whatever_they_are_called(tmp_path: Path) -> None:
    level = (write_dicom_slide(tmp_path / "a", noise(300, 300), mpp=0.25) / "level-0.dcm").read_bytes()
    for number, name in enumerate(("LEVEL0.DCM", "SER/IM0001", "slide\\level-0.dcm", "a/b/c/d/e/1.2.826.0.1")):
        path = make_zip(tmp_path / f"{number}.zip", {name: level})
        found = unpack(path, tmp_path / f"out{number}", max_bytes=10 * MIB)
        assert found.main_path.read_bytes() == level
        assert found.names == (name.replace("\\", "/").rsplit("/")[-1],)


def test_what_systems_and_people_put_beside_a_slide_is_left_aside(tmp_path: Path) -> None:
    beside = {
        "case/.DS_Store": b"x", "__MACOSX/case/._a.tif": TIFF, "case/._a.tif": TIFF, "Thumbs.db": b"x",
        "case/desktop.ini": b"x", "case/a.tif:Zone.Identifier": b"[ZoneTransfer]", "README.txt": b"read me",
        "case/@eaDir/a.tif": TIFF, "case/label.jpg": PICTURE, "case/notes.docx": b"PK\3\4",
    }  # fmt: skip
    for mode in ("zip", "w:gz"):
        path = pack(tmp_path / f"{mode}.a", {**beside, "case/a.tif": TIFF}, mode)
        found = unpack(path, tmp_path / f"out-{mode}", max_bytes=MIB)
        assert (found.main, found.names) == ("a.tif", ("a.tif",))
    names = {name.rsplit("/")[-1] for name in contents(tmp_path / "out-zip")}
    assert names == {"a.tif", "label.jpg", "notes.docx", "README.txt"}


def test_a_vms_slide_comes_with_the_files_that_it_names(tmp_path: Path) -> None:
    text = (
        b"[Virtual Microscope Specimen]\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\nMapFile=m.jpg\nOptimisationFile=o.opt\n"
    )
    entries = {"c/s.vms": text, "c/a.jpg": PICTURE, "c/b.jpg": PICTURE, "c/m.jpg": PICTURE, "c/o.opt": b"x"}
    found = unpack(make_zip(tmp_path / "z", {**entries, "c/x.txt": b"x"}), tmp_path / "out", max_bytes=MIB)
    assert (found.main, found.names) == ("s.vms", ("a.jpg", "b.jpg", "m.jpg", "o.opt", "s.vms"))


def test_an_archive_a_folder_and_a_file_name_one_slide_alike(tmp_path: Path) -> None:
    pyramid = write_pyramid(tmp_path / "a.tif", noise(300, 300))
    for name, entries in {
        "S1.mrxs": MRXS,
        "level-0.dcm": contents(write_dicom_slide(tmp_path / "dicom", noise(300, 300), mpp=0.25)),
        "a.tif": {"a.tif": pyramid.read_bytes()},
    }.items():
        folder = tmp_path / f"folder-{name}"
        for inner, content in {**entries, ".DS_Store": b"x", "README": b"y"}.items():
            (folder / inner).parent.mkdir(parents=True, exist_ok=True)
            (folder / inner).write_bytes(content)
        found = unpack(make_zip(tmp_path / f"z-{name}", entries), tmp_path / f"out-{name}", max_bytes=10 * MIB)
        ids = {slide_sha256(path) for path in (found.main_path, found.folder, folder, folder / name)}
        assert len(ids) == 1, name


REASONS = {
    "leads out": [
        "../x.svs",
        "a/../../x.svs",
        "/etc/x.svs",
        "..",
        "a\\..\\x.svs",
        "C:x.svs",
        "C:\\x.svs",
        "\\\\host\\x",
    ],
    "folders deep": ["a/" * MAX_DEPTH + "x.svs"],
    "cannot be shown": ["a\n.svs", "a\u202e.svs"],
    "rename it": ["n" * 300, "/".join(["n" * 200] * 6)],
}


@pytest.mark.parametrize(("reason", "name"), [(reason, name) for reason, names in REASONS.items() for name in names])
@pytest.mark.parametrize("kind", ["zip", "w"])
def test_a_name_is_refused_for_its_true_reason(tmp_path: Path, reason: str, name: str, kind: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        extract_in_process(pack(tmp_path / "bad", {name: b"x"}, kind), tmp_path / "out", MIB)
    assert contents(tmp_path / "out") == {}


@given(
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
    | st.from_regex(r"(\.\./|/|\./|a/|\\|C:){1,6}x", fullmatch=True)
)
def test_no_name_writes_outside(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("slip")
    make_tar(folder / "t", [(plain(name), b"x")])
    with contextlib.suppress(ArchiveError):
        extract_in_process(folder / "t", folder / "out", MIB)
    assert {p.name for p in folder.iterdir()} <= {"t", "out"}


@given(name=st.text(max_size=60))
def test_components_of_a_name_are_names(name: str) -> None:
    with contextlib.suppress(ArchiveError):
        for part in plain_parts(name):
            assert part not in ("", ".", "..")
            assert not set(part) & {"/", "\\"}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, reason: str) -> None:
    info = plain("slide.svs")
    info.type, info.linkname = kind, "/etc/passwd"
    make_tar(tmp_path / "t", [(info, b"")])
    with pytest.raises(ArchiveError, match=reason):
        extract_in_process(tmp_path / "t", tmp_path / "out", MIB)


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        info = zipfile.ZipInfo("slide.svs")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match="a link"):
        extract_in_process(tmp_path / "z", tmp_path / "out", MIB)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [(8, 9, "Deflate64"), (8, 93, "Zstandard"), (8, 1234, "method 1234"), (8, 99, "encrypted"), (6, 1, "encrypted")],
)
def test_what_cannot_be_unpacked_is_named(tmp_path: Path, at: int, value: int, reason: str) -> None:
    data = bytearray(make_zip(tmp_path / "z", {"a.svs": b"x"}).read_bytes())
    struct.pack_into("<H", data, data.index(b"PK\3\4") + at, value)
    struct.pack_into("<H", data, data.index(b"PK\1\2") + at + 2, value)
    (tmp_path / "z").write_bytes(data)
    with pytest.raises(ArchiveError, match=reason):
        unpack(tmp_path / "z", tmp_path / "out", max_bytes=MIB)


def test_a_part_of_a_zip_in_several_parts_is_named(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "z", {"a.svs": TIFF}).read_bytes())
    struct.pack_into("<HH", data, data.rindex(b"PK\5\6") + 4, 1, 1)
    (tmp_path / "z").write_bytes(data)
    with pytest.raises(ArchiveError, match="one part of a zip in several parts"):
        unpack(tmp_path / "z", tmp_path / "out", max_bytes=MIB)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_slide_that_was_compressed_alone_is_told_from_a_damaged_archive(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "slide.svs.gz").write_bytes(compress(TIFF * 10))
    with pytest.raises(ArchiveError, match="one slide that was compressed, send that as it is"):
        unpack(tmp_path / "slide.svs.gz", tmp_path / "out", max_bytes=MIB)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({}, "no slide"),
        ({"a.txt": b"x"}, r"no slide, only a\.txt"),
        ({"a.svs": TIFF, "b.svs": TIFF}, r"2 slides or series \(a\.svs, b\.svs\)"),
        ({"a.png": PICTURE, "c/b.png": PICTURE}, r"2 slides or series \(a\.png, c/b\.png\)"),
        ({"a.mrxs": PICTURE, "other/x.dat": b"y"}, r"a\.mrxs alone holds no pixels"),
    ],
)
def test_not_exactly_one_slide_is_refused_and_said(tmp_path: Path, entries: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        unpack(make_zip(tmp_path / "z", entries), tmp_path / "out", max_bytes=MIB)


def test_two_series_are_refused_and_one_of_them_can_be_named(tmp_path: Path) -> None:
    entries = {}
    for name in ("a", "b"):
        folder = write_dicom_slide(tmp_path / name, noise(300, 300), mpp=0.25, name=name)
        entries[f"{name}.dcm"] = (folder / "level-0.dcm").read_bytes()
    with pytest.raises(ArchiveError, match=r"2 slides or series \(a\.dcm, b\.dcm\)"):
        unpack(make_zip(tmp_path / "z", entries), tmp_path / "out", max_bytes=10 * MIB)
    extract(tmp_path / "z", tmp_path / "both", max_bytes=10 * MIB)
    assert slide_files(tmp_path / "both" / "b.dcm").names == ("b.dcm",)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    make_tar(tmp_path / "t", [(plain("a.svs"), b"x"), (plain("a.svs"), b"y")])
    with pytest.raises(ArchiveError, match="same name twice"):
        extract_in_process(tmp_path / "t", tmp_path / "out", MIB)


def test_a_cut_archive_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    whole = pack(tmp_path / "t", MRXS, "w").read_bytes()
    for length in range(512, len(whole) - tarfile.RECORDSIZE + 512, 512):
        if whole[length:].strip(b"\0"):
            (tmp_path / "cut").write_bytes(whole[:length])
            with pytest.raises(ArchiveError):
                extract_in_process(tmp_path / "cut", tmp_path / f"out-{length}", MIB)


@draw_examples(300)
@given(data=st.data())
def test_damaged_archives_are_errors_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes of archives of every kind are changed, moved and cut; whatever the readers meet is an error of ours."""
    folder = tmp_path_factory.mktemp("damaged")
    mode = data.draw(st.sampled_from(["zip", "deflated", "w", "w:gz", "w:bz2", "w:xz", "pax"]))
    if mode == "deflated":
        make_zip(folder / "a", MRXS, compression=zipfile.ZIP_DEFLATED)
    elif mode == "pax":
        long = "d/" + "n" * 150
        (folder / "a").write_bytes(
            member(b"pax", b"x", b"%d path=%s\n" % (len(long) + 11, long.encode()))
            + member(b"f", b"0", TIFF)
            + bytes(1024)
        )
    else:
        pack(folder / "a", MRXS, mode)
    content = bytearray((folder / "a").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        change = data.draw(st.binary(min_size=1, max_size=12))
        content[at : at + len(change)] = change
    del content[data.draw(st.integers(len(content) // 2, len(content))) :]
    (folder / "a").write_bytes(content)
    with contextlib.suppress(MitoserveError):
        extract_in_process(folder / "a", folder / "out", MIB)
    assert {p.name for p in folder.iterdir()} <= {"a", "out"}


def test_slides_are_no_archives(tmp_path: Path) -> None:
    for number, head in enumerate((b"II*\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"", b"x" * 600)):
        (tmp_path / str(number)).write_bytes(head)
        assert not is_archive(tmp_path / str(number))


def test_a_crowd_of_archives_leaves_the_server_threads(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z", {"a.txt": b"x"})
    ended = []

    def send(number: int) -> None:
        try:
            extract(path, tmp_path / f"out-{number}", max_bytes=MIB)
        except BusyError:
            ended.append("busy")
        else:
            ended.append("unpacked")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(AT_ONCE + WAITING + 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == len(threads)
    assert ended.count("unpacked") >= AT_ONCE + WAITING
    extract(path, tmp_path / "after", max_bytes=MIB)


def test_a_picture_alone_is_a_slide(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png", noise(40, 30)).read_bytes()
    found = unpack(make_zip(tmp_path / "z", {"folder/a.png": picture}), tmp_path / "out", max_bytes=MIB)
    assert found.main_path.read_bytes() == picture
