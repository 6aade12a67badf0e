"""What every slide answers in the same way."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from serving.wsi.pixelsize import PixelSize


class SlideBase(ABC):
    """One number for the pixel size, and a slide that is closed when its block ends. See `serving.wsi.slide.Slide`."""

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
