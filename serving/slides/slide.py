"""A slide as the pipeline sees it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from serving.core.geometry import Region
from serving.core.pixelsize import PixelSize
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

    @property
    def level_count(self) -> int:
        """Number of levels; level 0 is the finest."""

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of each level in its own px. Pictures in the file that do not show the slide are no levels."""

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 px per px of each level, the mean of both axes."""

    @property
    def properties(self) -> Mapping[str, str]:
        """What the file states, by the names that OpenSlide or the format has for it. It may name a patient."""

    @property
    def associated_images(self) -> tuple[str, ...]:
        """Names of the pictures beside the slide, such as `label` and `macro`, which are never read."""

    @property
    def icc_profile(self) -> bytes | None:
        """The ICC profile of the slide's colours, which `read` does not apply; None where the file has none."""

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
    """What follows from other members, what a slide has that states nothing, and the end of its block. See `Slide`."""

    width: int
    height: int
    pixel_size: PixelSize | None
    bounds: tuple[int, int, int, int] | None

    @property
    def mpp(self) -> float | None:
        """See `Slide.mpp`."""
        return None if self.pixel_size is None else self.pixel_size.mpp

    @property
    def level_count(self) -> int:
        """See `Slide.level_count`."""
        return len(self.level_dimensions)

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """See `Slide.level_dimensions`."""
        return ((self.width, self.height),)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """See `Slide.level_downsamples`."""
        return tuple((self.width / width + self.height / height) / 2 for width, height in self.level_dimensions)

    @property
    def properties(self) -> Mapping[str, str]:
        """See `Slide.properties`."""
        return {}

    @property
    def associated_images(self) -> tuple[str, ...]:
        """See `Slide.associated_images`."""
        return ()

    @property
    def icc_profile(self) -> bytes | None:
        """See `Slide.icc_profile`."""
        return None

    @abstractmethod
    def close(self) -> None:
        """See `Slide.close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
