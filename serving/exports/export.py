"""A format of results, and the registry of all: each file of this package, and each plug-in, registers its own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType

from serving.core.errors import MitoserveError
from serving.plugins import Registry
from serving.scoring.analysis import Analysis


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


GROUP = "mitoserve.exports"
"""Entry point group of plug-ins: each names a module that adds its formats to `EXPORTS` when it is imported."""
_LAST = 100


@dataclass(frozen=True, slots=True)
class Export:
    """A format.

    Parameters
    ----------
    file_name
        Of what is written to a folder.
    suffix
        In addresses, `report.<suffix>`.
    media_type
        What a client asks for by `Accept`; no two formats share one.
    make
        From an analysis, and the slide's own file where it is at hand, to the parts of the file. Raises `ExportError` if the
        format cannot hold this analysis, or needs a package or the slide.
    usual
        Whether `mitoserve score` writes it.
    needs_slide
        Whether it refers to the slide's own file.
    shows_review
        Whether its figures are those of `serving.exports.figures`, which are after review where the report states one; also of
        a format without figures. The others are refused for such a report, since they would show the model's.
    shows_views
        Whether it shows pixels of the slide, `Analysis.views`, where they are at hand.
    rank
        Place among all formats: the first that `Accept` allows is sent.
    """

    file_name: str
    suffix: str
    media_type: str
    make: Callable[[Analysis, Path | None], Iterable[bytes]]
    usual: bool = False
    needs_slide: bool = False
    shows_review: bool = False
    shows_views: bool = False
    rank: int = _LAST

    def chunks(self, analysis: Analysis, slide: Path | None = None) -> Iterable[bytes]:
        """The parts of the file. slide : the slide's own file, which DICOM refers to.

        Raises
        ------
        ExportError
            If the format cannot hold this analysis or its review, or needs a package or the slide.
        """
        if analysis.report.review is not None and not self.shows_review:
            raise ExportError(
                f"{self.file_name} cannot state a review and would show the model's figures: ask for it with `review=off`, "
                "or for another format"
            )
        return self.make(analysis, slide)

    def render(self, analysis: Analysis, slide: Path | None = None) -> bytes:
        """The whole file. slide : the slide's own file, which DICOM refers to.

        Raises
        ------
        ExportError
            If the format cannot hold this analysis or its review, or needs a package or the slide.
        """
        return b"".join(self.chunks(analysis, slide))


class ExportRegistry(Registry[Export]):
    """Formats by name, in the order of their ranks; each has a suffix and a media type of its own."""

    def add(self, name: str, entry: Export) -> None:
        """Register a format.

        Raises
        ------
        ValueError
            If another has its name, suffix or media type.
        """
        for other, known in self.registered():
            if entry.suffix == known.suffix or entry.media_type == known.media_type:
                raise ValueError(
                    f"the formats {other} and {name} share {entry.suffix} or {entry.media_type}: nobody could ask for one of them"
                )
        super().add(name, entry)

    def __iter__(self) -> Iterator[str]:
        names = list(super().__iter__())
        return iter(sorted(names, key=lambda name: self[name].rank))


EXPORTS = ExportRegistry("format", "serving.exports", GROUP)


def whole(render: Callable[[Analysis], bytes]) -> Callable[[Analysis, Path | None], Iterable[bytes]]:
    """`Export.make` of a function that makes the file at once and needs no slide."""
    return lambda analysis, _: (render(analysis),)


def streamed(render: Callable[[Analysis], Iterator[bytes]]) -> Callable[[Analysis, Path | None], Iterable[bytes]]:
    """`Export.make` of a function that makes the file in parts and needs no slide."""
    return lambda analysis, _: render(analysis)


PARTS = 2000
"""In one chunk."""


def in_chunks(before: str, parts: Iterable[str], after: str, *, between: str = ",") -> Iterator[bytes]:
    """`before`, the parts with `between` between them, and `after`, as UTF-8."""
    yield before.encode()
    left, first = iter(parts), True
    while chunk := list(islice(left, PARTS)):
        yield (("" if first else between) + between.join(chunk)).encode()
        first = False
    yield after.encode()
