"""Why a version cannot be kept, or may not serve."""

from serving.core.errors import MitoserveError


class VersionRefusedError(MitoserveError):
    """A version may not serve on this machine; the message says why."""

    slug = "model-refused"


class RegistryError(MitoserveError):
    """What is asked for does not go with what is kept: versions never change, and what serves is not taken away."""

    slug = "model-conflict"


class GoldenSetError(RegistryError):
    """The golden set cannot be used; the message says what of it and what to do."""

    slug = "model-conflict"
