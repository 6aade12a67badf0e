"""Why a format cannot be had."""

from importlib import import_module
from types import ModuleType

from serving.core.errors import MitoserveError


class ExportError(MitoserveError):
    """The format cannot hold this analysis, or needs a package or a file that is not there."""

    slug = "not-exportable"


def import_extra(module: str, extra: str) -> ModuleType:
    """A package that only some formats need.

    Raises
    ------
    ExportError
        If it is not installed; the message says how to.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ExportError(f"this format needs {module}: pip install 'mitoserve[{extra}]'") from error
