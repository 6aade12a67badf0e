"""Masks are grown and shrunk in a box around what they hold; that changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from serving.quality.parts import find_bounding_box, morphological_dilate, morphological_erode

pytestmark = pytest.mark.property
MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)), fill=st.just(False))


def _grow(mask: NDArray[np.bool_], um: float, mpp: float) -> NDArray[np.bool_]:
    return np.asarray(ndimage.distance_transform_edt(~mask) * mpp <= um, np.bool_) if mask.any() else mask


@given(mask=MASKS, um=st.floats(0, 40), mpp=st.floats(0.5, 8))
def test_growing_and_shrinking_are_those_of_the_whole_picture(mask: NDArray[np.bool_], um: float, mpp: float) -> None:
    assert np.array_equal(morphological_dilate(mask, um, mpp), _grow(mask, um, mpp))
    assert np.array_equal(morphological_erode(mask, um, mpp), ~_grow(~mask, um, mpp))


@given(mask=MASKS, margin=st.integers(0, 3))
def test_a_box_holds_everything(mask: NDArray[np.bool_], margin: int) -> None:
    assert mask[find_bounding_box(mask, margin)].sum() == mask.sum()
