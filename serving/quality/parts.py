"""Connected parts of masks."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
"""bool, shape (rows, columns)."""
Box = tuple[slice, slice]
"""Rows and columns of a mask."""
_DIAGONAL = np.ones((3, 3), np.bool_)


def find_bounding_box(mask: Mask, margin: int) -> Box:
    """The smallest box with all of a mask and `margin` elements around it, as far as the mask goes."""
    return find_span(np.asarray(mask.any(1)), margin), find_span(np.asarray(mask.any(0)), margin)


def find_span(held: NDArray[np.bool_], margin: int) -> slice:
    """From the first to the last element that is held, with a margin; of none the first element."""
    places = np.flatnonzero(held)
    return slice(max(int(places[0]) - margin, 0), int(places[-1]) + 1 + margin) if len(places) else slice(0, 1)


def large_parts(mask: Mask, mm2: float, mpp: float) -> Mask:
    """The connected parts of at least `mm2`; elements that touch at a corner are connected."""
    labels, _ = ndimage.label(mask, _DIAGONAL)
    keep = np.bincount(labels.ravel()) * (mpp / 1000) ** 2 >= mm2
    keep[0] = False
    return np.asarray(keep[labels], np.bool_)


def parts_with(mask: Mask, seeds: Mask) -> Mask:
    """The connected parts that hold a seed: a threshold with hysteresis (Canny, 1986) has the seeds' as its upper one."""
    labels, count = ndimage.label(mask, _DIAGONAL)
    keep = np.zeros(count + 1, np.bool_)
    keep[labels[seeds & mask]] = True
    return np.asarray(keep[labels] & mask, np.bool_)


def morphological_dilate(mask: Mask, um: float, mpp: float) -> Mask:
    """The mask grown by `um` on all sides."""
    found, box = np.zeros_like(mask), find_bounding_box(mask, int(um / mpp) + 1)
    if mask.any():
        found[box] = ndimage.distance_transform_edt(~mask[box]) * mpp <= um
    return found


def morphological_erode(mask: Mask, um: float, mpp: float) -> Mask:
    """The mask without what is within `um` of its outside; beyond the picture's edge it goes on."""
    found, box = mask.copy(), find_bounding_box(mask, 1)
    if not mask[box].all():
        found[box] = ndimage.distance_transform_edt(mask[box]) * mpp > um
    return found


def morphological_open(mask: Mask, um: float, mpp: float) -> Mask:
    """Where the mask holds a disc of radius `um`: what is thinner is gone."""
    return morphological_dilate(morphological_erode(mask, um, mpp), um, mpp)
