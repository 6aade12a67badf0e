"""Mitoserve's public names. What is exported here stays; everything below `serving` and `training` may move.

The names are loaded when they are used, so that `import mitoserve` costs next to nothing.

>>> import mitoserve
>>> report = mitoserve.score("slide.svs")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

from serving import __version__

if TYPE_CHECKING:
    from mitoserve.scoring import score
    from serving.client import AsyncClient, Client, ClientError
    from serving.core.errors import MitoserveError
    from serving.core.report import Report
    from serving.scoring.detector import Detector
    from serving.slides.opening import open_slide
    from serving.slides.slide import Slide

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Detector",
    "MitoserveError",
    "Report",
    "Slide",
    "__version__",
    "open_slide",
    "score",
]

_MODULES = {
    "AsyncClient": "serving.client",
    "Client": "serving.client",
    "ClientError": "serving.client",
    "Detector": "serving.scoring.detector",
    "MitoserveError": "serving.core.errors",
    "Report": "serving.core.report",
    "Slide": "serving.slides.slide",
    "open_slide": "serving.slides.opening",
    "score": "mitoserve.scoring",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
