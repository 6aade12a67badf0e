"""A slide as the pipeline sees it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

from serving.core.geometry import Region
from serving.slides.pixelsize import PixelSize
from serving.slides.resample import Pixels


class Slide(Protocol):
    """Pixels in one frame: level 0, (x, y), half-open. Reads may come from several threads at once."""

    name: str
    """File name without folders."""
    width: int
    """Level-0 px."""
    height: int
    """Level-0 px."""
    pixel_size: PixelSize | None
    """Microns per level-0 px along each axis as the file states them; never guessed from objective power."""
    vendor: str
    stored_scale: tuple[float, float]
    """Px of the file per level-0 px along x and y; (1, 1) but where pixels of the file are not square and were resampled."""
    bounds: tuple[int, int, int, int] | None
    """x, y, width, height of what was scanned, level-0 px, where the file states it; some viewers begin there."""

    @property
    def mpp(self) -> float | None:
        """Side of the square with a px's area, um: `pixel_size` in one number."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know of how the file was read; sentences."""

    @property
    def sha256(self) -> str:
        """Hash of the file's bytes; of names and bytes where a slide is several files."""

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """RGB of `region` (level-0 px) resampled to `width` x `height`; whatever is outside or transparent is white.

        -> uint8, shape (height, width, 3)

        Raises
        ------
        UnreadableSlideError
            If the file's data is broken there.
        """

    def thumbnail(self, max_side: int) -> Pixels:
        """The whole slide with its longer side at most `max_side` px, uint8, shape (h, w, 3)."""

    def close(self) -> None:
        """Release the file; reads afterwards fail."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SlideBase(ABC):
    """One number for the pixel size, and a slide that is closed when its block ends. See `Slide`."""

    pixel_size: PixelSize | None
    bounds: tuple[int, int, int, int] | None

    @property
    def mpp(self) -> float | None:
        """See `Slide.mpp`."""
        return None if self.pixel_size is None else self.pixel_size.mpp

    @abstractmethod
    def close(self) -> None:
        """See `Slide.close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
