"""Which files are a slide: folders as scanners, systems and people make them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import HTJ2KLossless, JPEGLSLossless, generate_uid

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.slides.hashing import slide_sha256
from serving.slides.opening import open_slide
from serving.slides.slidefiles import is_system_name, slide_files
from tests.dicom import write_dicom_slide
from tests.samples import noise, write_dicom, write_picture, write_pyramid

ANNOTATIONS = "1.2.840.10008.5.1.4.1.1.91.1"
PIXELS = noise(300, 250)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """The one file of a DICOM slide in a folder of its own."""
    (tmp_path / "slide").mkdir()
    return write_dicom(tmp_path / "slide" / "level-0.dcm", PIXELS)


def change(path: Path, target: Path, **values: object) -> Path:
    """A copy of a DICOM file with other elements."""
    found = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(found, keyword, value)
    if "SOPClassUID" in values:
        found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
        del found.PixelData
    if "TransferSyntaxUID" in values:
        found.file_meta.TransferSyntaxUID = values["TransferSyntaxUID"]
        del found.TransferSyntaxUID
    found.save_as(target, enforce_file_format=True)
    return target


def size(path: Path) -> tuple[int, int]:
    with open_slide(path) as opened:
        return opened.width, opened.height


@pytest.mark.parametrize("name", ["LEVEL0.DCM", "IM0001", "1.2.826.0.1.3680043", "level 0.dicom", "a.txt", ".hidden"])
def test_a_dicom_slide_is_known_whatever_its_files_are_called(slide: Path, name: str) -> None:
    kept = slide_sha256(slide)
    renamed = slide.rename(slide.with_name(name))
    assert size(slide.parent) == size(renamed) == (300, 250)
    assert slide_sha256(slide.parent) == slide_sha256(renamed) == kept


def leave_annotations(slide: Path) -> None:
    change(slide, slide.with_name("annotations.dcm"), SOPClassUID=ANNOTATIONS, SeriesInstanceUID=generate_uid())


def leave_annotations_of_the_series(slide: Path) -> None:
    change(slide, slide.with_name("ann.dcm"), SOPClassUID=ANNOTATIONS)


def leave_a_label_in_a_series_of_its_own(slide: Path) -> None:
    label = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    change(slide, slide.with_name("label.dcm"), ImageType=label, SeriesInstanceUID=generate_uid())


def leave_what_systems_leave(slide: Path) -> None:
    for name in (".DS_Store", "._level-0.dcm", "Thumbs.db", "desktop.ini", "level-0.dcm:Zone.Identifier"):
        slide.with_name(name).write_bytes(b"\0\5\x16\7" + bytes(300))


def leave_texts_and_pictures(slide: Path) -> None:
    slide.with_name("README.txt").write_text("x")
    write_picture(slide.with_name("label.png"), PIXELS)
    slide.with_name("empty").touch()
    slide.with_name("sub").mkdir()


@pytest.mark.parametrize(
    "leave",
    [
        leave_annotations,
        leave_annotations_of_the_series,
        leave_a_label_in_a_series_of_its_own,
        leave_what_systems_leave,
        leave_texts_and_pictures,
    ],
)
def test_what_lies_beside_a_dicom_slide_changes_nothing(slide: Path, leave: Callable[[Path], None]) -> None:
    kept = slide_sha256(slide.parent)
    leave(slide)
    assert slide_sha256(slide.parent) == slide_sha256(slide) == kept
    assert size(slide.parent) == size(slide) == (300, 250)


def test_two_series_are_ambiguous_but_a_file_names_one(slide: Path) -> None:
    other = change(slide, slide.with_name("other.dcm"), SeriesInstanceUID=generate_uid())
    with pytest.raises(UnreadableSlideError, match=r"2 slides or series \(level-0\.dcm, other\.dcm\); name one"):
        slide_files(slide.parent)
    assert slide_files(slide).names == ("level-0.dcm",)
    assert slide_files(other).names == ("other.dcm",)


def test_a_damaged_level_is_not_left_aside(slide: Path) -> None:
    data = slide.read_bytes()
    series = data.index(b"\x20\0\x0e\0UI")
    for length in (series, series + 4, data.index(b"1.2.840.10008.5.1.4.1.1.77.1.6") + 40):
        slide.with_name("a.dcm").write_bytes(data[:length])
        with pytest.raises(UnreadableSlideError, match=r"a\.dcm is a"):
            slide_files(slide.parent)


def test_an_object_of_another_kind_is_told_from_a_slide(slide: Path) -> None:
    leave_annotations(slide)
    with pytest.raises(UnsupportedFormatError, match="no whole-slide image"):
        open_slide(slide.with_name("annotations.dcm"))


@pytest.mark.parametrize(
    "preamble",
    [b"II*\0\x80\x04\0\0", b"II*\0\xff\xff\xff\x00", b"II+\0\x08\0\0\0\xff\xff\0\0\0\0\0\0", b"MM\0*\0\0\xff\xff"],
)
@pytest.mark.parametrize("name", ["a.dcm", "a", "a.tif"])
def test_a_dicom_file_that_begins_as_a_tiff_of_old_opens_as_dicom(slide: Path, preamble: bytes, name: str) -> None:
    data = slide.read_bytes()
    target = slide.rename(slide.with_name(name))
    target.write_bytes(preamble.ljust(128, b"\0") + data[128:])
    assert size(target) == size(slide.parent) == (300, 250)


def test_an_mrxs_slide_is_what_its_index_names(tmp_path: Path) -> None:
    main = write_picture(tmp_path / "S.jpg", PIXELS).rename(tmp_path / "S.mrxs")
    with pytest.raises(
        UnsupportedFormatError, match=r"S\.mrxs alone holds no pixels: they are in the folder of the same name"
    ):
        slide_files(main)
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "Slidedat.ini").write_text(
        "[HIERARCHICAL]\nINDEXFILE=Index.dat\n[DATAFILE]\nFILE_0 = Data0.dat\n"
    )
    for name in ("Index.dat", "Data0.dat", "Data1.dat", ".DS_Store"):
        (tmp_path / "S" / name).write_bytes(name.encode())
    named = ("S.mrxs", "S/Data0.dat", "S/Index.dat", "S/Slidedat.ini")
    assert slide_files(main).names == named
    assert slide_files(tmp_path).names == slide_files(tmp_path / "S").names == named


def test_a_folder_of_one_tiff_is_that_slide(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    pyramid = write_pyramid(folder / "a.tif", PIXELS)
    write_picture(folder / "thumbnail.png", PIXELS)
    assert slide_sha256(folder) == slide_sha256(pyramid)
    assert size(folder) == (300, 250)
    write_pyramid(folder / "b.tif", PIXELS)
    with pytest.raises(UnreadableSlideError, match="2 slides"):
        slide_files(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(UnsupportedFormatError, match="holds no slide"):
        slide_files(tmp_path / "none")


def test_pipes_and_links_in_a_circle_are_left_aside(slide: Path) -> None:
    os.mkfifo(slide.with_name("pipe"))
    slide.with_name("circle").symlink_to(slide.parent)
    slide.with_name("nowhere").symlink_to(slide.parent / "none")
    assert slide_files(slide.parent).names == ("level-0.dcm",)


def test_names_of_systems() -> None:
    for name in (
        ".DS_Store",
        "._a.tif",
        "Thumbs.db",
        "__MACOSX",
        "a.svs:Zone.Identifier",
        "Icon\r",
        "~$a.docx",
        ".nfs0012ab",
    ):
        assert is_system_name(name), name
    for name in ("a.svs", "Zone.svs", ".hidden.svs", "IM0001", "thumbs.db.svs", "1.2.3"):
        assert not is_system_name(name), name


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"TransferSyntaxUID": JPEGLSLossless}, "JPEG-LS Lossless Image Compression, which is not read"),
        ({"TransferSyntaxUID": HTJ2KLossless}, r"High-Throughput JPEG 2000 .*, which is not read"),
        ({"PhotometricInterpretation": "YBR_FULL"}, "YBR_FULL for JPEG Baseline"),
        ({"PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1}, r"1 sample of 8 bits \(MONOCHROME2\)"),
        ({"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}, "3 samples of 12 bits"),
        ({"PlanarConfiguration": 1}, "red, green and blue one after the other"),
        ({"PixelRepresentation": 1}, "signed samples"),
        ({"TotalPixelMatrixFocalPlanes": 3}, "holds 3 focal planes; export one of them"),
        ({"ConcatenationUID": "1.2.3"}, r"several files \(a concatenation\), of which one alone is here"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}, "no level of a slide, only its label or an overview"),
        ({"PhotometricInterpretation": "RGB"}, "states RGB in its header, but its tiles say that they are YCbCr"),
    ],
)
def test_how_pixels_are_stored_is_named_where_it_is_not_read(
    slide: Path, values: dict[str, object], reason: str
) -> None:
    target = change(slide, slide.with_name("changed"), **values, SeriesInstanceUID=generate_uid())
    with pytest.raises(UnsupportedFormatError, match=reason):
        open_slide(target)


def test_tiles_without_order_and_positions_do_not_end_the_process(slide: Path) -> None:
    change(slide, slide, DimensionOrganizationType="TILED_SPARSE")
    with pytest.raises(UnreadableSlideError, match="no positions of its tiles"):
        open_slide(slide)


def test_a_codec_that_is_newer_than_pydicom_is_named(slide: Path) -> None:
    change(slide, slide, TransferSyntaxUID=HTJ2KLossless)
    slide.write_bytes(slide.read_bytes().replace(b"1.2.840.10008.1.2.4.201", b"1.2.840.10008.1.2.4.112"))
    with pytest.raises(UnsupportedFormatError, match="JPEG XL, which is not read"):
        open_slide(slide)


def test_tiles_that_say_rgb_contradict_a_header_of_ybr(slide: Path) -> None:
    data = slide.read_bytes()
    adobe = b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
    jfif = data.index(b"\xff\xd8\xff\xe0\0\x10JFIF")
    slide.write_bytes(
        data[:jfif] + adobe + data[jfif + 18 :]
    )  # two bytes of the next segment go, which nothing reads here
    with pytest.raises(
        UnsupportedFormatError, match="states YBR_FULL_422 in its header, but its tiles say that they are RGB"
    ):
        open_slide(slide)


def test_uncompressed_dicom_still_opens(tmp_path: Path) -> None:
    folder = write_dicom_slide(tmp_path / "s", PIXELS, mpp=0.25)
    with open_slide(folder) as opened:
        assert np.array_equal(opened.read(Region(0, 0, 300, 250), 300, 250), PIXELS)
