"""What a slide says of itself in the words of the field: levels, properties, associated images and the ICC profile."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import open_isolated
from serving.slides.arrayslide import ArraySlide
from serving.slides.opening import open_slide
from serving.slides.slide import Slide
from tests.samples import noise, write_pyramid

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TERMS = ("level_count", "level_dimensions", "level_downsamples", "properties", "associated_images", "icc_profile")


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(DecoderLimits())
    yield made
    made.close()


def write_svs(path: Path) -> Path:
    """An Aperio slide of two levels with a label."""
    pixels = noise(1024, 768)
    about = "Aperio Image Library v11.2.1\r\n{} x {}|AppMag = 40|MPP = 0.25"
    with tifffile.TiffWriter(path) as tiff:
        for step in (1, 4):
            level = np.ascontiguousarray(pixels[::step, ::step])
            described = about.format(level.shape[1], level.shape[0])
            tiff.write(
                level, tile=(256, 256), photometric="rgb", compression="jpeg", description=described, metadata=None,
                software=False, iccprofile=PROFILE,
            )  # fmt: skip
        label = "Aperio Image Library v11.2.1\r\nlabel 64x32"
        tiff.write(
            noise(64, 32), photometric="rgb", compression="lzw", description=label, metadata=None, software=False,
            subfiletype=1, rowsperstrip=32,
        )  # fmt: skip
    return path


def write_ome(path: Path) -> Path:
    """An OME-TIFF of two levels with a label beside it."""
    pixels = noise(1024, 768)
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(
            pixels, tile=(256, 256), photometric="rgb", compression="deflate", subifds=1, iccprofile=PROFILE,
            metadata={"Name": "section"},
        )  # fmt: skip
        tiff.write(pixels[::2, ::2], tile=(256, 256), photometric="rgb", compression="deflate", subfiletype=1)
        tiff.write(noise(64, 32), photometric="rgb", metadata={"Name": "label"})
    return path


def test_a_scanners_slide_through_openslide(tmp_path: Path) -> None:
    with open_slide(write_svs(tmp_path / "a.svs")) as slide:
        assert slide.vendor == "aperio"
        assert (slide.level_count, slide.level_dimensions) == (2, ((1024, 768), (256, 192)))
        assert slide.level_downsamples == (1.0, 4.0)
        assert slide.properties["aperio.AppMag"] == "40"
        assert slide.properties["openslide.objective-power"] == "40"
        assert slide.associated_images == ("label",)
        assert slide.icc_profile == PROFILE


def test_an_ome_tiff_through_tifffile(tmp_path: Path) -> None:
    with open_slide(write_ome(tmp_path / "a.ome.tif")) as slide:
        assert slide.vendor == "ome-tiff"
        assert (slide.level_count, slide.level_dimensions) == (2, ((1024, 768), (512, 384)))
        assert slide.level_downsamples == (1.0, 2.0)
        assert "<OME" in slide.properties["tiff.ImageDescription"]
        assert slide.associated_images == ("label",)
        assert slide.icc_profile == PROFILE


def test_a_picture_states_its_text_and_profile(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", "a field")
    Image.fromarray(noise(80, 60)).save(tmp_path / "a.png", pnginfo=text, icc_profile=PROFILE)
    with open_slide(tmp_path / "a.png") as slide:
        assert (slide.level_count, slide.level_dimensions, slide.level_downsamples) == (1, ((80, 60),), (1.0,))
        assert (slide.properties["Description"], slide.associated_images) == ("a field", ())
        assert slide.icc_profile == PROFILE


def test_an_array_states_nothing() -> None:
    with ArraySlide(noise(80, 60), mpp=0.25) as slide:
        assert [getattr(slide, term) for term in TERMS] == [1, ((80, 60),), (1.0,), {}, (), None]


def test_resampled_levels_have_the_slides_shape(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(600, 800), mpp=None, resolution=(20_000, 40_000), resolutionunit=3)
    with open_slide(path) as slide:
        assert slide.stored_scale == (0.5, 1.0)
        assert slide.level_dimensions == ((1200, 800), (600, 400))
        assert slide.level_downsamples == (1.0, 2.0)
        assert slide.properties["openslide.vendor"] == "generic-tiff"


@pytest.mark.parametrize("write", [write_svs, write_ome])
def test_an_isolated_slide_states_the_same(tmp_path: Path, decoders: Decoders, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path / "a.tif")

    def terms(slide: Slide) -> list[object]:
        return [getattr(slide, term) for term in TERMS]

    with open_slide(path) as here, open_isolated(decoders, path, name="a.tif") as there:
        assert terms(there) == terms(here)
