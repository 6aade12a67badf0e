import numpy as np

from serving.core.geometry import Region
from serving.slides.arrayslide import ArraySlide
from serving.slides.resample import cut_padded
from tests.samples import noise


def test_cuts_are_white_outside() -> None:
    pixels = noise(10, 8)
    cut = cut_padded(pixels, -2, -3, 14, 20)
    assert cut.shape == (20, 14, 3)
    assert np.array_equal(cut[3:11, 2:12], pixels)
    assert (cut[:3] == 255).all()
    assert (cut[11:] == 255).all()
    assert (cut[:, :2] == 255).all()


def test_cuts_wholly_outside_are_white() -> None:
    for x, y in ((100, 0), (-100, 0), (0, 100), (0, -100)):
        assert (cut_padded(noise(10, 8), x, y, 5, 5) == 255).all()


def test_a_whole_read_is_the_pixels_themselves() -> None:
    pixels = noise(31, 17)
    slide = ArraySlide(pixels, mpp=0.25)
    assert np.array_equal(slide.read(Region(0, 0, 31, 17), 31, 17), pixels)


def test_neighbouring_resampled_reads_agree_at_their_seam() -> None:
    slide = ArraySlide(noise(400, 100), mpp=0.5)
    whole = slide.read(Region(50, 0, 200, 100), 400, 200)
    left, right = slide.read(Region(50, 0, 100, 100), 200, 200), slide.read(Region(150, 0, 100, 100), 200, 200)
    assert np.abs(whole.astype(int) - np.concatenate([left, right], 1)).max() <= 1


def test_a_plain_picture_stays_plain_when_resampled_inside() -> None:
    slide = ArraySlide(np.full((100, 100, 3), (225, 170, 205), np.uint8), mpp=0.5)
    assert (slide.read(Region(20, 20, 37, 41), 91, 83) == (225, 170, 205)).all()


def test_the_hash_is_of_shape_and_pixels() -> None:
    flat = np.zeros((2, 8, 3), np.uint8)
    hashes = {ArraySlide(p, mpp=None).sha256 for p in (flat, flat.reshape(4, 4, 3), flat + 1)}
    assert len(hashes) == 3
    assert ArraySlide(flat.copy(), mpp=0.3, name="other").sha256 in hashes
