"""ICC profiles: recorded of every slide that has one, applied where somebody asks, and never a reason to crash."""

import random
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from serving.core.errors import MitoserveError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.core.options import ScoringOptions
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import open_isolated
from serving.scoring.pipeline import score_slide
from serving.slides.colours import describe_profile, with_srgb
from serving.slides.opening import open_slide
from serving.slides.resample import Pixels
from tests.fakes import DotDetector
from tests.samples import noise

WHOLE = Region(0, 0, 700, 500)


@cache
def srgb_profile() -> bytes:
    """Of one moment: a profile states when it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """A profile by which the first sample is green and the second red."""
    profile = bytearray(srgb_profile())
    (count,) = struct.unpack_from(">I", profile, 128)
    tags = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def write_slide(path: Path, profile: bytes | None, pixels: Pixels | None = None) -> Path:
    shown = noise(700, 500) if pixels is None else pixels
    if path.suffix == ".png":
        Image.fromarray(shown).save(path, icc_profile=profile or b"", dpi=(101_600, 101_600))
    else:
        tifffile.imwrite(
            path, shown, photometric="rgb", tile=(256, 256), compression="deflate", iccprofile=profile, metadata=None,
            resolution=(40_000, 40_000), resolutionunit="CENTIMETER", byteorder=">" if "big" in path.name else "<",
        )  # fmt: skip
    return path


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(DecoderLimits(opening_cpu_s=20, read_cpu_s=20))
    yield made
    made.close()


@pytest.mark.parametrize("name", ["openslide.tif", "big-endian.tif", "a.png"])
def test_a_profile_that_swaps_red_and_green_does_so_on_request_alone(
    decoders: Decoders, tmp_path: Path, name: str
) -> None:
    path, pixels = write_slide(tmp_path / name, swapped_profile()), noise(700, 500)
    with open_slide(path) as direct, open_isolated(decoders, path, name=name) as isolated:
        for slide in (direct, isolated):
            assert slide.icc_profile == swapped_profile()
            assert np.array_equal(slide.read(WHOLE, 700, 500), pixels)
            shown = with_srgb(slide)
            found = shown.read(WHOLE, 700, 500).astype(int)
            assert np.abs(found - pixels[..., [1, 0, 2]]).max() <= 2
            small = shown.thumbnail(70).astype(int)
            assert np.abs(small - slide.thumbnail(70)[..., [1, 0, 2]]).max() <= 2
            assert np.array_equal(slide.read(WHOLE, 700, 500), pixels)


def test_srgb_stays_srgb(tmp_path: Path) -> None:
    with open_slide(write_slide(tmp_path / "a.tif", srgb_profile())) as slide:
        found = with_srgb(slide).read(WHOLE, 700, 500).astype(int)
    assert np.abs(found - noise(700, 500)).max() <= 1


def test_the_report_states_profile_and_choice_and_its_id_tells_them_apart(tmp_path: Path) -> None:
    with open_slide(write_slide(tmp_path / "a.tif", swapped_profile())) as slide:
        stored, srgb = (
            score_slide(slide, DotDetector(), ScoringOptions(colours=choice)).report for choice in ("stored", "srgb")
        )
    with open_slide(write_slide(tmp_path / "b.tif", None)) as slide:
        without = score_slide(slide, DotDetector(), ScoringOptions(colours="srgb")).report
    assert (stored.settings.colours, srgb.settings.colours) == ("stored", "srgb")
    assert stored.analysis_id != srgb.analysis_id
    for report in (stored, srgb):
        assert report.slide.icc_profile is not None
        assert report.slide.icc_profile.size == len(swapped_profile())
        assert not [warning for warning in report.warnings if "ICC" in warning]
    assert without.slide.icc_profile is None
    assert [warning for warning in without.warnings if "the file states no ICC profile" in warning]


def test_names_of_profiles_are_read_in_both_versions() -> None:
    facts = describe_profile(srgb_profile())
    assert (facts.name, facts.size) == ("sRGB built-in", len(srgb_profile()))
    text = b"desc" + bytes(4) + struct.pack(">I", 9) + b"Scanner 1" + bytes(20)
    second = bytes(128) + struct.pack(">I", 1) + b"desc" + struct.pack(">II", 144, len(text)) + text
    assert describe_profile(second).name == "Scanner 1"
    assert describe_profile(b"").name == describe_profile(bytes(200)).name == ""


@pytest.mark.parametrize(
    "profile", [b"no profile", bytes(200), srgb_profile().replace(b"RGB XYZ", b"CMYKXYZ"), srgb_profile()[:140]]
)
def test_a_damaged_profile_is_an_error_where_it_is_asked_for_and_else_none(tmp_path: Path, profile: bytes) -> None:
    with open_slide(write_slide(tmp_path / "a.png", profile)) as slide:
        assert score_slide(slide, DotDetector()).report.slide.icc_profile is not None
        with pytest.raises(UnsupportedFormatError, match="colours=stored"):
            score_slide(slide, DotDetector(), ScoringOptions(colours="srgb"))


def test_whatever_a_profile_holds_the_error_is_an_intended_one(decoders: Decoders, tmp_path: Path) -> None:
    chance, whole = random.Random(3), swapped_profile()
    for number in range(30):
        profile = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            profile[chance.randrange(len(profile))] = chance.choice((0, 1, 127, 255))
        describe_profile(bytes(profile))
        path = write_slide(tmp_path / f"{number}.png", bytes(profile), noise(64, 48))
        try:
            with open_isolated(decoders, path, name="a") as slide:
                found = with_srgb(slide).read(Region(0, 0, 64, 48), 64, 48)
                assert found.shape == (48, 64, 3)
        except MitoserveError:
            pass
