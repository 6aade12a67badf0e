"""A slide whose file another process opens and decodes."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import DecoderError, SlideTooLargeError, UnreadableSlideError
from serving.core.geometry import Region
from serving.isolation.decoder_process import Decoder, DecoderDiedError, MemoryShortError, StatedFacts
from serving.isolation.decoders import LINES, Decoders, SlideFacts
from serving.slides.colours import SrgbSlide
from serving.slides.slide import Slide, SlideBase

_T = TypeVar("_T")

TRIES = 2
"""A reader that dies is replaced once, and asked the same again: it may have been killed for something else."""

_MORE_MEMORY = "convert it to a tiled TIFF, or let the operator raise MITOSIS_DECODER_MEMORY_BYTES and MITOSIS_DECODERS_MEMORY_BYTES"


def open_isolated(
    decoders: Decoders, path: Path, *, name: str, sha256: str = "", lines: int = LINES
) -> "IsolatedSlide":
    """The slide in `path`, opened and decoded in a process of its own.

    lines : reads at once
    sha256 : hash of the slide, where it is known; hashing gigabytes again would take longer than scoring

    Raises
    ------
    DecoderError
        If opening the slide ended two processes.
    SlideTooLargeError
        If it is a picture that needs more memory than there is for a slide.
    MitoserveError
        What `serving.slides.opening.open_slide` raises.
    """
    return IsolatedSlide(decoders, path, name=name, sha256=sha256, lines=lines)


class IsolatedSlide(SlideBase):
    """See `Slide`; reads may come from several threads, of which the decoder serves `lines` at once."""

    def __init__(self, decoders: Decoders, path: Path, *, name: str, sha256: str, lines: int = LINES) -> None:
        self._decoders, self._path, self._lines = decoders, path, lines
        self.name, self.sha256 = name, sha256
        self._current: tuple[Decoder, SlideFacts] | None = None
        self._memory = decoders.least_bytes
        self._closed = False
        self._lock = threading.Lock()
        self._needed = contextlib.ExitStack()
        facts = self._with_retry(lambda _, facts: facts)
        self.width, self.height, self.pixel_size, self.vendor = (
            facts.width,
            facts.height,
            facts.pixel_size,
            facts.vendor,
        )
        self.bounds, self.notes, self.stored_scale = facts.bounds, facts.notes, facts.stored_scale

    def __repr__(self) -> str:
        return f"IsolatedSlide({self.name!r}, {self.width} x {self.height}, {self.pixel_size}, {self.vendor})"

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """See `Slide.level_dimensions`."""
        return self._stated.level_dimensions

    @property
    def properties(self) -> Mapping[str, str]:
        """See `Slide.properties`."""
        return self._stated.properties

    @property
    def associated_images(self) -> tuple[str, ...]:
        """See `Slide.associated_images`."""
        return self._stated.associated_images

    @property
    def icc_profile(self) -> bytes | None:
        """See `Slide.icc_profile`."""
        return self._stated.icc_profile

    @cached_property
    def _stated(self) -> StatedFacts:
        return self._with_retry(lambda decoder, _: decoder.stated())

    def read(self, region: Region, width: int, height: int, *, srgb: bool = False) -> NDArray[np.uint8]:
        """See `Slide.read`; raises `DecoderError` where the read ends two processes. srgb : see `managed`."""
        box = (region.x, region.y, region.width, region.height)
        return self._pixels({"region": box, "width": width, "height": height, "srgb": srgb}, width * height * 3)

    def thumbnail(self, max_side: int, *, srgb: bool = False) -> NDArray[np.uint8]:
        """See `Slide.thumbnail`; raises `DecoderError` where it ends two processes. srgb : see `managed`."""
        return self._pixels({"max_side": max_side, "srgb": srgb}, max_side * max_side * 3)

    def managed(self) -> Slide:
        """The same slide with its pixels in sRGB: a profile is a file from a stranger, too, and is applied by the decoder."""
        return _ManagedSlide(self)

    def _pixels(self, request: dict[str, Any], max_bytes: int) -> NDArray[np.uint8]:
        return self._with_retry(lambda decoder, _: decoder.pixels(request, max_bytes))

    def _with_retry(self, ask: Callable[[Decoder, SlideFacts], _T]) -> _T:
        """What `ask` gives, with another process if the first dies of it or has too little memory."""
        deaths, ending = 0, ""
        while deaths < TRIES:
            decoder: Decoder | None = None
            memory = self._memory
            try:
                decoder, facts = self._open()
                return ask(decoder, facts)
            except DecoderDiedError as death:
                deaths, ending = deaths + 1, str(death)
                self._discard(decoder, more_than=memory if death.crashed else None)
                if death.exhausted and decoder is None:
                    break  # opening takes the same time again
            except MemoryShortError as short:
                if short.needed is not None and short.needed > self._decoders.most_bytes:
                    raise SlideTooLargeError(
                        f"decoding {self.name} takes {short.needed} bytes of memory, and this server has at most "
                        f"{self._decoders.most_bytes} for a slide; {_MORE_MEMORY}"
                    ) from short
                if memory >= self._decoders.most_bytes:
                    raise UnreadableSlideError(
                        f"reading {self.name} needs more than {memory} bytes of memory, which is this server's limit; "
                        f"{_MORE_MEMORY}"
                    ) from short
                self._discard(decoder, more_than=memory, needed=short.needed)
        times = "once" if deaths == 1 else f"{deaths} times"
        raise DecoderError(
            f"{self.name} ended its reader {times} at the same place ({ending}): "
            "the file is damaged, or not what it says it is; export it again, for example with `vips tiffsave`"
        )

    def _open(self) -> tuple[Decoder, SlideFacts]:
        with self._lock:
            if self._closed:
                raise ValueError(f"{self.name} is closed")
            if self._current is None:
                self._current = self._decoders.start(self._path, self.name, memory=self._memory, lines=self._lines)
            return self._current

    def _discard(self, dead: Decoder | None, *, more_than: int | None = None, needed: int | None = None) -> None:
        """Forget a decoder that died, unless another thread has done so.

        more_than : memory that was too little, or may have been
        needed : memory that would do, where it is known
        """
        with self._lock:
            if more_than is not None and self._memory <= more_than:
                self._memory = self._decoders.most_bytes if needed is None else needed
            if dead is None or self._current is None or self._current[0] is not dead:
                return
            self._current = None
        dead.close()

    def need(self, held: contextlib.ExitStack) -> None:
        """Hold until the slide is closed what its file needs."""
        self._needed.enter_context(held)

    def close(self) -> None:
        """End the process; reads afterwards fail."""
        with self._lock:
            self._closed = True
            current, self._current = self._current, None
        if current is not None:
            current[0].close()
        self._needed.close()


class _ManagedSlide(SrgbSlide):
    """A slide whose decoder converts its pixels."""

    def __init__(self, slide: IsolatedSlide) -> None:
        super().__init__(slide)
        self._isolated = slide

    def read(self, region: Region, width: int, height: int) -> NDArray[np.uint8]:
        """See `IsolatedSlide.read`."""
        return self._isolated.read(region, width, height, srgb=True)

    def thumbnail(self, max_side: int) -> NDArray[np.uint8]:
        """See `IsolatedSlide.thumbnail`."""
        return self._isolated.thumbnail(max_side, srgb=True)
