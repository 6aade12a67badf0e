"""Frames of DICOM that contradict their header are damage, wherever they lie, and are never shown."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.slides.opening import open_slide
from tests.examples import draw_examples
from tests.field_files import dicom_jpeg2000
from tests.samples import noise

PIXELS = noise(600, 500)
FRAMES = 6
"""Of 256 px."""
CODESTREAM = b"\xff\x4f\xff\x51"
SIZE_AT = {"end": 8, "begin across": 16, "begin down": 20, "components": 40, "step of the second": 43 + 3}
"""Byte of a codestream where its SIZ segment says so (ITU-T T.800, A.5.1)."""
PIXEL_DATA = b"\xe0\x7f\x10\x00OB\0\0"


@pytest.fixture(scope="module", params=[True, False], ids=["table of offsets", "no table"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = dicom_jpeg2000(offsets=request.param)(tmp_path_factory.mktemp("dicom") / "a", PIXELS)
    return (folder / "level-0.dcm").read_bytes()


def find_codestreams(data: bytes) -> list[int]:
    """Where they begin, in a file whose tiles happen to hold no other such bytes."""
    found, at = [], data.find(CODESTREAM)
    while at >= 0:
        found.append(at)
        at = data.find(CODESTREAM, at + 1)
    assert len(found) == FRAMES
    return found


def write(tmp_path: Path, data: bytes | bytearray) -> Path:
    path = tmp_path / "level-0.dcm"
    path.write_bytes(data)
    return path


def test_a_whole_file_is_read(tmp_path: Path, whole: bytes) -> None:
    with open_slide(write(tmp_path, whole)) as slide:
        np.testing.assert_array_equal(slide.read(Region(0, 0, 600, 500), 600, 500), PIXELS)


@pytest.mark.parametrize("where", SIZE_AT)
@pytest.mark.parametrize("frame", [0, 3, FRAMES - 1])
def test_a_codestream_of_another_size_is_damage(tmp_path: Path, whole: bytes, frame: int, where: str) -> None:
    """OpenSlide would show what lies behind the decoded tile in its memory."""
    data = bytearray(whole)
    data[find_codestreams(whole)[frame] + SIZE_AT[where] + (0 if where.startswith("step") else 1)] ^= 2
    with pytest.raises(UnreadableSlideError, match=r"damaged in level-0\.dcm; copy it again"):
        open_slide(write(tmp_path, data))


def test_a_frame_that_the_table_of_offsets_alone_names_is_looked_at(tmp_path: Path) -> None:
    """It lies within the value of another, with a codestream that begins elsewhere than at 0."""
    whole = (dicom_jpeg2000()(tmp_path / "a", PIXELS) / "level-0.dcm").read_bytes()
    table, first = whole.index(PIXEL_DATA) + 12 + 8, find_codestreams(whole)[0]
    hidden = bytearray(whole[first : first + 200])
    hidden[SIZE_AT["begin across"] + 3] = 2
    data = bytearray(whole)
    data[first + 300 : first + 300 + 8 + len(hidden)] = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(hidden)) + hidden
    struct.pack_into("<I", data, table + 4, 8 + 300)
    with pytest.raises(UnreadableSlideError, match="copy it again"):
        open_slide(write(tmp_path, data))


def test_pixel_data_of_another_kind_is_damage(tmp_path: Path, whole: bytes) -> None:
    """Encapsulated pixels are OB (DICOM PS3.5, A.4); what is not found is not looked at."""
    with pytest.raises(UnreadableSlideError, match="copy it again"):
        open_slide(write(tmp_path, whole.replace(PIXEL_DATA, b"\xe0\x7f\x10\x00OW\0\0")))


@pytest.mark.parametrize("colours", ["YBR_RCT", "YBR_ICT"])
def test_a_header_that_states_a_transform_which_tiles_lack_is_refused(tmp_path: Path, colours: str) -> None:
    with pytest.raises(
        UnsupportedFormatError, match=f"states {colours} in its header, but .* no transform was applied"
    ):
        open_slide(dicom_jpeg2000(colours, transformed=False)(tmp_path / "a", PIXELS))


@pytest.mark.parametrize("transformed", [False, True])
def test_red_green_and_blue_are_read_however_tiles_hold_them(tmp_path: Path, transformed: bool) -> None:
    with open_slide(dicom_jpeg2000(transformed=transformed)(tmp_path / "a", PIXELS)) as slide:
        np.testing.assert_array_equal(slide.read(Region(0, 0, 600, 500), 600, 500), PIXELS)


def test_a_transform_that_openslide_does_not_read_is_named(tmp_path: Path) -> None:
    """The lossy transform of a lossless codestream."""
    folder = dicom_jpeg2000("YBR_RCT")(tmp_path / "a", PIXELS)
    data = (folder / "level-0.dcm").read_bytes().replace(b"YBR_RCT", b"YBR_ICT")
    with pytest.raises(UnsupportedFormatError, match="YBR_ICT for JPEG 2000 Image Compression"):
        open_slide(write(tmp_path, data))


@given(
    changes=st.lists(
        st.tuples(st.integers(0, FRAMES - 1), st.integers(-8, 120), st.integers(1, 255)), min_size=1, max_size=4
    )
)
@draw_examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_reads_of_a_damaged_slide_are_the_same(
    tmp_path: Path, whole: bytes, changes: list[tuple[int, int, int]]
) -> None:
    """Memory behind a tile would differ; item headers, markers and the first coded bytes are changed."""
    data, starts = bytearray(whole), find_codestreams(whole)
    for frame, byte, change in changes:
        data[starts[frame] + byte] ^= change
    path = write(tmp_path, data)
    assert read_after(0, path) == read_after(255, path)


def read_after(filling: int, path: Path) -> bytes | str:
    """What a read gives, or how it is refused, where freed memory holds `filling`."""
    blocks = [np.full(size, filling, np.uint8) for size in (2**16, 2**18, 2**20) for _ in range(4)]
    del blocks
    try:
        with open_slide(path) as slide:
            return slide.read(Region(0, 0, 600, 500), 600, 500).tobytes()
    except (UnreadableSlideError, UnsupportedFormatError) as error:
        return str(error)
