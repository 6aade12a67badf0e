"""Why something cannot be kept, found or removed."""

from serving.wsi.errors import MitoserveError


class NotFoundError(MitoserveError):
    """Nothing of this id exists, or it belongs to somebody else, which is answered alike."""

    slug = "not-found"


class SlideInUseError(MitoserveError):
    """An analysis waits for the slide or is under way."""

    slug = "slide-in-use"


class SharedSlideError(MitoserveError):
    """Several owners have the slide, and an administrator has not said whose is meant."""

    slug = "slide-shared"


class QuotaError(MitoserveError):
    """The owner's slides and unfinished uploads take as much room as the owner may use."""

    slug = "quota-exceeded"


class ArchiveError(MitoserveError):
    """An archive holds what it must not, or not one slide."""

    slug = "bad-archive"


class SlideRootError(MitoserveError):
    """A name that leads out of the folder of mounted slides, or a server without one."""

    slug = "not-mounted"


class SlideChangedError(MitoserveError):
    """A mounted slide is not the file any more that it was."""

    slug = "slide-changed"
