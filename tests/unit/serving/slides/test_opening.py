"""Files become slides, or the right error."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.errors import (
    EmptyUploadError,
    MitoserveError,
    SlideTooLargeError,
    UnreadableSlideError,
    UnsupportedFormatError,
)
from serving.core.geometry import Region
from serving.slides import imageslide
from serving.slides.limits import MAX_SIDE_PX, check_size
from serving.slides.opening import open_slide
from tests.samples import (
    noise,
    write_forged_tile,
    write_picture,
    write_pyramid,
    write_tiff_header,
    write_truncated,
)


@pytest.mark.parametrize("compression", ["deflate", "jpeg"])
def test_a_pyramid_opens_with_its_size_and_resolution(tmp_path: Path, compression: str) -> None:
    pixels = noise(700, 600)
    with open_slide(write_pyramid(tmp_path / "a.tif", pixels, mpp=0.2524, compression=compression)) as slide:
        assert (slide.name, slide.width, slide.height, slide.vendor) == ("a.tif", 700, 600, "generic-tiff")
        assert slide.mpp == pytest.approx(0.2524, rel=1e-4)
        found = slide.read(Region(100, 50, 300, 200), 300, 200).astype(int)
        tolerance = 0 if compression == "deflate" else 12
        assert np.abs(found - pixels[50:250, 100:400]).max() <= tolerance


def test_reads_reach_beyond_the_slide_into_white(tmp_path: Path) -> None:
    pixels = noise(700, 600)
    with open_slide(write_pyramid(tmp_path / "a.tif", pixels)) as slide:
        found = slide.read(Region(-10, -20, 100, 100), 100, 100)
        assert (found[:20] == 255).all()
        assert (found[:, :10] == 255).all()
        assert np.array_equal(found[20:, 10:], pixels[:80, :90])
        assert (slide.read(Region(900, 900, 50, 50), 50, 50) == 255).all()
        assert (slide.read(Region(-500, -500, 50, 50), 50, 50) == 255).all()


def test_smaller_reads_come_from_the_pyramid_and_agree(tmp_path: Path) -> None:
    pixels = noise(1024, 768)
    with open_slide(write_pyramid(tmp_path / "a.tif", pixels, levels=3)) as slide:
        found = slide.read(Region(256, 128, 512, 512), 128, 128)
        box = Image.fromarray(pixels[128:640, 256:768]).resize((128, 128), Image.Resampling.BOX)
        assert np.abs(found.astype(int) - np.asarray(box)).mean() < 2


@pytest.mark.parametrize(("levels", "size"), [(1, (1300, 900)), (3, (1300, 900)), (1, (3000, 40))])
def test_thumbnails_show_the_whole_slide(tmp_path: Path, levels: int, size: tuple[int, int]) -> None:
    pixels = noise(*size)
    with open_slide(write_pyramid(tmp_path / "a.tif", pixels, levels=levels)) as slide:
        thumbnail = slide.thumbnail(200)
    assert max(thumbnail.shape[:2]) == 200
    whole = Image.fromarray(pixels).resize((thumbnail.shape[1], thumbnail.shape[0]), Image.Resampling.BOX)
    assert np.abs(thumbnail.astype(int) - np.asarray(whole)).mean() < 4


def test_a_tiff_of_ten_pixels_is_a_slide(tmp_path: Path) -> None:
    pixels = noise(10, 10)
    with open_slide(write_pyramid(tmp_path / "ten.tif", pixels, levels=1)) as slide:
        assert (slide.width, slide.height) == (10, 10)
        assert np.array_equal(slide.read(Region(0, 0, 10, 10), 10, 10), pixels)
        assert slide.thumbnail(256).shape == (10, 10, 3)


@pytest.mark.parametrize("dots_per_inch", [72, 300, 1200, 2400])
def test_print_resolutions_are_no_resolution(tmp_path: Path, dots_per_inch: int) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(300, 300), mpp=25_400 / dots_per_inch)
    with open_slide(path) as slide:
        assert slide.mpp is None


def test_a_tiff_without_resolution_has_none(tmp_path: Path) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tif", noise(300, 300), mpp=None)) as slide:
        assert slide.mpp is None


@pytest.mark.parametrize(("stated", "found"), [(0.25, 0.25), (None, None), (84.7, None)])
def test_pictures_have_a_resolution_if_it_is_a_microscopes(
    tmp_path: Path, stated: float | None, found: float | None
) -> None:
    with open_slide(write_picture(tmp_path / "a.png", noise(30, 20), mpp=stated)) as slide:
        assert (slide.width, slide.height, slide.vendor) == (30, 20, "png")
        assert slide.mpp == (None if found is None else pytest.approx(found, rel=1e-3))


def test_transparent_parts_of_pictures_are_white(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[:10] = (200, 100, 150, 255)
    with open_slide(write_picture(tmp_path / "a.png", pixels)) as slide:
        found = slide.read(Region(0, 0, 30, 20), 30, 20)
    assert (found[:10] == (200, 100, 150)).all()
    assert (found[10:] == 255).all()


def test_palette_pictures_with_transparency_are_white_there(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 200, 100, 150])
    picture.putpixel((0, 0), 0)
    picture.save(tmp_path / "a.png", transparency=0)
    with open_slide(tmp_path / "a.png") as slide:
        found = slide.read(Region(0, 0, 4, 4), 4, 4)
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[1, 1].tolist() == [200, 100, 150]


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_pictures_are_read_with_a_word(tmp_path: Path, mode: str) -> None:
    Image.fromarray(noise(30, 20)).convert("L").convert(mode).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        found = slide.read(Region(0, 0, 30, 20), 30, 20)
        assert "grey" in slide.notes[0]
    assert (found[..., 0] == found[..., 1]).all()
    assert (found[..., 0] == found[..., 2]).all()


def test_the_name_is_what_the_caller_says(tmp_path: Path) -> None:
    path = tmp_path / "upload.part"
    Image.fromarray(noise(10, 10)).save(path, "PNG")
    with open_slide(path, name="field.png") as slide:
        assert slide.name == "field.png"


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    first = write_pyramid(tmp_path / "a.tif", noise(300, 300))
    second = tmp_path / "b.tif"
    second.write_bytes(first.read_bytes())
    other = write_pyramid(tmp_path / "c.tif", noise(300, 300, seed=1))
    hashes = []
    for path in (first, second, other):
        with open_slide(path) as slide:
            hashes.append(slide.sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    with pytest.raises(EmptyUploadError, match=r"a\.svs"):
        open_slide(tmp_path / "a.svs")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlideError, match="no file"):
        open_slide(tmp_path / "a.svs")


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.png", "a.dcm", "a"])
def test_a_text_file_by_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("this is no slide\n" * 20)
    with pytest.raises(UnsupportedFormatError, match="is not a slide"):
        open_slide(tmp_path / name)


def test_a_folder_without_dicom(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match="folder"):
        open_slide(tmp_path)


def test_a_dicom_head_without_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + bytes(500))
    with pytest.raises((UnsupportedFormatError, UnreadableSlideError)):
        open_slide(tmp_path / "a.dcm")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.95])
def test_a_truncated_tiff(tmp_path: Path, share: float) -> None:
    whole = write_pyramid(tmp_path / "whole.tif", noise(900, 900))
    with pytest.raises(UnreadableSlideError, match="copy it again"):
        open_slide(write_truncated(tmp_path / "part.tif", whole, share=share))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_a_truncated_picture(tmp_path: Path, suffix: str, share: float) -> None:
    whole = write_picture(tmp_path / f"whole{suffix}", noise(200, 200))
    with pytest.raises(UnreadableSlideError, match="copy it again"):
        open_slide(write_truncated(tmp_path / f"part{suffix}", whole, share=share))


def test_a_header_without_data(tmp_path: Path) -> None:
    path = write_tiff_header(tmp_path / "a.tif", width=100_000, height=100_000)
    with pytest.raises(UnreadableSlideError, match="no image data"):
        open_slide(path)


def test_a_tiff_that_is_not_tiled_is_no_slide(tmp_path: Path) -> None:
    Image.fromarray(noise(100, 100)).save(tmp_path / "a.tif")
    with pytest.raises(UnsupportedFormatError, match=r"a\.tif is a TIFF in strips and not in tiles; .*vips"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
        (b"PK\7\x08PK\3\4", "a zip in several parts"),
        (b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    ],
)
def test_what_people_send_in_place_of_a_zip_is_named(tmp_path: Path, head: bytes, what: str) -> None:
    (tmp_path / "slide.svs").write_bytes(head + bytes(300))
    with pytest.raises(UnsupportedFormatError, match=f"{what}, which is not read; .* zip or tar"):
        open_slide(tmp_path / "slide.svs")


def test_forged_stored_tiles_are_refused_before_openslide_allocates_them(tmp_path: Path) -> None:
    path = write_forged_tile(tmp_path / "a.tif", noise(300, 300), tile=2**19)
    with pytest.raises(SlideTooLargeError, match="tiles of 524288 x 524288"):
        open_slide(path)


@pytest.mark.parametrize("size", [(MAX_SIDE_PX + 1, 1), (1, MAX_SIDE_PX + 1), (MAX_SIDE_PX, MAX_SIDE_PX)])
def test_forged_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SlideTooLargeError, match="px"):
        check_size(*size)


def test_pictures_of_too_many_pixels_are_refused_undecoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imageslide, "MAX_IMAGE_PIXELS", 199)
    with pytest.raises(SlideTooLargeError, match="20 x 10"):
        open_slide(write_picture(tmp_path / "a.png", noise(20, 10)))


def test_pillows_own_limit_lies_above_ours() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert imageslide.MAX_IMAGE_PIXELS < 2 * Image.MAX_IMAGE_PIXELS


def test_whatever_a_file_holds_the_error_is_an_intended_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    samples = [
        write_pyramid(tmp_path / "a.tif", noise(300, 300), compression="jpeg"),
        write_picture(tmp_path / "b.png", noise(60, 60)),
        write_picture(tmp_path / "c.jpg", noise(60, 60)),
    ]
    refused = 0
    for sample in samples:
        for _ in range(40):
            data = bytearray(sample.read_bytes())
            for at in rng.integers(0, min(len(data), 600), 3):
                data[at] = rng.integers(256)
            damaged = tmp_path / f"damaged{sample.suffix}"
            damaged.write_bytes(data)
            try:
                with open_slide(damaged) as slide:
                    slide.read(Region(0, 0, 50, 50), 50, 50)
            except MitoserveError:
                refused += 1
    assert refused > 40


def test_errors_name_the_slide_and_never_the_servers_path(tmp_path: Path) -> None:
    whole = write_pyramid(tmp_path / "whole.tif", noise(300, 300))
    broken = [
        write_truncated(tmp_path / "a.part", whole),
        write_truncated(tmp_path / "b.part", write_picture(tmp_path / "whole.png", noise(90, 90))),
        write_truncated(tmp_path / "c.part", write_picture(tmp_path / "whole2.png", noise(90, 90)), share=0.01),
        write_tiff_header(tmp_path / "d.part", width=100_000, height=100_000),
        tmp_path / "absent",
    ]
    (tmp_path / "e.part").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    for path in [*broken, tmp_path / "e.part"]:
        with pytest.raises(MitoserveError, match=r"block-7\.svs") as caught:
            open_slide(path, name="block-7.svs")
        assert str(tmp_path) not in str(caught.value)
        assert path.name not in str(caught.value)
