"""Connected parts of masks."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
"""bool, shape (rows, columns)."""
_DIAGONAL = np.ones((3, 3), np.bool_)


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


def dilated(mask: Mask, um: float, mpp: float) -> Mask:
    """The mask grown by `um` on all sides."""
    return np.asarray(ndimage.distance_transform_edt(~mask) * mpp <= um, np.bool_) if mask.any() else mask


def eroded(mask: Mask, um: float, mpp: float) -> Mask:
    """The mask without what is within `um` of its outside; beyond the picture's edge it goes on."""
    return ~dilated(~mask, um, mpp)


def opened(mask: Mask, um: float, mpp: float) -> Mask:
    """Where the mask holds a disc of radius `um`: what is thinner is gone."""
    return dilated(eroded(mask, um, mpp), um, mpp)
