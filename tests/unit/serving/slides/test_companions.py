"""Files that a slide names: plain names of its own folder, or nothing is opened."""

import os
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.slides.companions import check_folder
from serving.slides.opening import open_slide
from tests.dicom import write_dicom_slide
from tests.examples import draw_examples
from tests.samples import noise, write_mrxs

ELSEWHERE = [
    "../other/secret.dat",
    "/etc/passwd",
    "../../etc/passwd",
    "sub/secret.dat",
    "..",
    "",
    "..\\secret.dat",
    "a\tb",
]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that is nobody's slide, with pixels that could be shown."""
    other = tmp_path / "other"
    other.mkdir()
    write_mrxs(tmp_path / "theirs.mrxs", noise(100, 80, seed=7))
    (tmp_path / "theirs" / "Data0000.dat").rename(other / "secret.dat")
    return other / "secret.dat"


def write_vms(path: Path, **names: str) -> Path:
    stated = {"MapFile": "map.jpg", "ImageFile": "image.jpg", "MacroImage": "macro.jpg"} | names
    lines = ["[Virtual Microscope Specimen]", "NoJpegColumns=1", "NoJpegRows=1"]
    path.write_text("\n".join(lines + [f"{key}={value}" for key, value in stated.items()]) + "\n" + " " * 200)
    return path


def test_an_mrxs_slide_opens(tmp_path: Path) -> None:
    pixels = noise(120, 90)
    with open_slide(write_mrxs(tmp_path / "a.mrxs", pixels)) as slide:
        assert (slide.width, slide.height, slide.mpp, slide.vendor) == (120, 90, 0.25, "mirax")
        found = slide.read(Region(0, 0, 120, 90), 120, 90)
        assert np.abs(found.astype(int) - pixels).max() < 30


@pytest.mark.parametrize("stated", ELSEWHERE)
@pytest.mark.parametrize("key", ["data", "index"])
def test_an_mrxs_slide_that_names_files_elsewhere_is_not_opened(
    tmp_path: Path, secret: Path, key: str, stated: str
) -> None:
    assert secret.is_file()
    names: dict[str, Any] = {key: stated}
    path = write_mrxs(tmp_path / "a.mrxs", noise(100, 80), **names)
    with pytest.raises(UnreadableSlideError, match="names a file that is not in its own folder") as caught:
        open_slide(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("stated", ELSEWHERE)
@pytest.mark.parametrize("key", ["MapFile", "ImageFile", "ImageFile(0,0)", "MacroImage", "OptimisationFile"])
def test_a_vms_slide_that_names_files_elsewhere_is_not_opened(tmp_path: Path, key: str, stated: str) -> None:
    with pytest.raises(UnreadableSlideError, match="names a file that is not in its own folder"):
        open_slide(write_vms(tmp_path / "a.vms", **{key: stated}))


def test_a_file_that_is_dicom_by_its_head_and_vms_by_its_text_is_not_opened(tmp_path: Path) -> None:
    text = "[Virtual Microscope Specimen]\nNoJpegColumns=1\nNoJpegRows=1\nMapFile=map.jpg\nImageFile=../secret\n#"
    for claims in ("", "1.2.840.10008.5.1.4.1.1.77.1.6"):
        (tmp_path / "a.dcm").write_text(text.ljust(128, "-") + f"DICM\n{claims}")
        with pytest.raises(
            (UnreadableSlideError, UnsupportedFormatError), match=r"a damaged DICOM|no whole-slide image"
        ):
            open_slide(tmp_path / "a.dcm")


@draw_examples(150)
@given(
    stated=st.lists(
        st.sampled_from(
            ["..", ".", "/", "\\", "other", "secret.dat", "etc", "\t", " ", "%2e", "é", "\x85", "\u2028", "\r"]
        )
        | st.text(string.printable, max_size=4),
        max_size=6,
    ).map("".join),
    before=st.sampled_from(["", " ", "\t", "\r", "#\n", "[X]\n", "file_0=Data0000.dat\n", "FILE_0 = Data0000.dat\n"]),
    key=st.sampled_from(["FILE_0", "FILE_0 ", "FILE_0[de]", "file_0"]),
)
def test_whatever_name_is_stated_nothing_outside_is_shown(
    tmp_path_factory: pytest.TempPathFactory, stated: str, before: str, key: str
) -> None:
    """A name that reaches the other slide's pixels would show them; whatever happens, they are not shown."""
    base = tmp_path_factory.mktemp("mrxs")
    theirs, mine = np.full((80, 100, 3), 200, np.uint8), np.full((80, 100, 3), 90, np.uint8)
    write_mrxs(base / "theirs.mrxs", theirs)
    (base / "other").mkdir()
    (base / "theirs" / "Data0000.dat").rename(base / "other" / "secret.dat")
    path = write_mrxs(base / "a.mrxs", mine)
    index = base / "a" / "Slidedat.ini"
    index.write_bytes(
        index.read_bytes().replace(b"FILE_0 = Data0000.dat\n", f"{before}{key} = {stated}\n".encode("utf-8", "replace"))
    )
    try:
        with open_slide(path) as slide:
            shown, said = slide.read(Region(0, 0, 100, 80), 100, 80), ""
    except UnreadableSlideError as error:
        shown, said = mine, str(error)
    assert shown.max() < 150
    assert str(base) not in said


@pytest.mark.parametrize("entry", ["Data0000.dat", "Index.dat", "Slidedat.ini", "unused.dat"])
def test_a_link_in_the_folder_of_a_slide_is_refused(tmp_path: Path, secret: Path, entry: str) -> None:
    path = write_mrxs(tmp_path / "a.mrxs", noise(100, 80))
    (tmp_path / "a" / entry).unlink(missing_ok=True)
    (tmp_path / "a" / entry).symlink_to(secret)
    with pytest.raises(UnreadableSlideError, match="link or a device"):
        open_slide(path)


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    write_mrxs(tmp_path / "theirs.mrxs", noise(100, 80))
    path = write_mrxs(tmp_path / "a.mrxs", noise(100, 80))
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    (tmp_path / "a").rmdir()
    (tmp_path / "a").symlink_to(tmp_path / "theirs")
    with pytest.raises(UnreadableSlideError, match="is a link"):
        open_slide(path)


def test_a_pipe_among_dicom_files_does_not_hold_the_reader(tmp_path: Path) -> None:
    folder = write_dicom_slide(tmp_path / "d", noise(300, 300), mpp=0.25)
    os.mkfifo(folder / "pipe.dcm")
    for path in (folder, folder / "level-0.dcm"):
        with pytest.raises(UnreadableSlideError, match="link or a device"):
            open_slide(path)


def test_hard_links_are_refused_where_they_are_asked_about(tmp_path: Path, secret: Path) -> None:
    path = write_mrxs(tmp_path / "a.mrxs", noise(100, 80))
    check_folder(path, "a.mrxs", hard_links=False)
    (tmp_path / "a" / "Data0000.dat").unlink()
    os.link(secret, tmp_path / "a" / "Data0000.dat")
    check_folder(path, "a.mrxs")
    with pytest.raises(UnreadableSlideError, match="another name"):
        check_folder(path, "a.mrxs", hard_links=False)


def test_a_link_to_a_slide_opens_as_the_slide(tmp_path: Path) -> None:
    write_mrxs(tmp_path / "a.mrxs", noise(100, 80))
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "b.mrxs").symlink_to(tmp_path / "a.mrxs")
    with open_slide(tmp_path / "links" / "b.mrxs") as slide:
        assert (slide.name, slide.width) == ("b.mrxs", 100)
