"""Why something cannot be kept, found or removed."""

from serving.core.errors import BusyError, MitoserveError


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


class SlideDamagedError(MitoserveError):
    """The stored bytes of a slide are not those that its id is the hash of, or are lost."""

    slug = "slide-damaged"

    def __init__(self, sha256: str) -> None:
        super().__init__(
            f"the stored bytes of the slide {sha256[:12]}... are damaged or lost; upload the slide again, it then takes their "
            "place, and submit its analyses again"
        )


class SlideReplacedError(BusyError):
    """The files of a slide were written while it was analysed: what was read of them may be of damaged bytes."""

    slug = "busy"


class SlideRootError(MitoserveError):
    """A name that leads out of the folder of mounted slides, or a server without one."""

    slug = "not-mounted"


class SlideChangedError(MitoserveError):
    """A mounted slide is not the file any more that it was."""

    slug = "slide-changed"


class MissingSlideError(MitoserveError):
    """There is nothing where a slide should be."""

    slug = "not-found"


class UnavailableError(MitoserveError):
    """Storage or a server of slides does not answer, refuses or breaks off."""

    slug = "storage-unavailable"
