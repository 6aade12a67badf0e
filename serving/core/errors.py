"""Every error that Mitoserve raises on purpose. Each message says what is wrong and what to do.

The errors are one tree. Those that many packages raise stand here, the others with what raises them. Each class states its kind itself,
and serving/api/problems.py has a status for every kind. The few exceptions outside the tree never leave the package that raises
them; tests/unit/serving/core/test_errors.py lists them with their reasons.
"""

import errno


class MitoserveError(Exception):
    """Base of all intended errors; `slug` names the kind in problem+json and on the command line."""

    slug = "internal-error"


class RequestError(MitoserveError):
    """The request itself is malformed: an option out of range, a region that does not parse."""

    slug = "malformed-request"


class EmptyUploadError(RequestError):
    """The upload holds no bytes."""

    slug = "empty-upload"


class SlideTooLargeError(MitoserveError):
    """The file or its pixel dimensions exceed the configured limit."""

    slug = "slide-too-large"


class UnsupportedFormatError(MitoserveError):
    """The file is not in a slide or image format that Mitoserve reads."""

    slug = "unsupported-format"


class UnreadableSlideError(MitoserveError):
    """The file claims a known format but cannot be read: truncated, corrupt or without pixel data."""

    slug = "unreadable-slide"


class StorageError(UnreadableSlideError):
    """The storage failed while the slide was read: another try may succeed."""

    slug = "unreadable-slide"


class DecoderError(MitoserveError):
    """Opening or reading the slide ended the process that did it, more than once."""

    slug = "decoder-died"


class MissingResolutionError(MitoserveError):
    """The slide states no microns per pixel and the caller gave none."""

    slug = "missing-mpp"


class ResolutionError(MitoserveError):
    """The slide's microns per pixel lie outside the range that can be resampled."""

    slug = "mpp-out-of-range"


class RoiError(MitoserveError):
    """The region of interest lies outside the slide or is empty."""

    slug = "roi-outside-slide"


class ModelError(MitoserveError):
    """A model is missing, fails its checksum or breaks the serving contract."""

    slug = "model-unavailable"


class BusyError(MitoserveError):
    """The server is at capacity; try again later."""

    slug = "busy"


def is_disk_full(error: BaseException) -> bool:
    """Whether nothing more can be written: the disk, the user's quota or the largest file is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
