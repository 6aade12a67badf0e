"""A slide that shows another one otherwise: what stays the same of it."""

from collections.abc import Mapping

from serving.slides.slide import Slide, SlideBase


class WrappedSlide(SlideBase):
    """What is the same of a slide that is shown otherwise. See `Slide`; it closes the slide that it shows."""

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self.name, self.vendor = slide.name, slide.vendor

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._slide!r})"

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return self._slide.sha256

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """See `Slide.level_dimensions`."""
        return self._slide.level_dimensions

    @property
    def properties(self) -> Mapping[str, str]:
        """See `Slide.properties`: of the file, so sizes are of its pixels."""
        return self._slide.properties

    @property
    def associated_images(self) -> tuple[str, ...]:
        """See `Slide.associated_images`."""
        return self._slide.associated_images

    @property
    def icc_profile(self) -> bytes | None:
        """See `Slide.icc_profile`."""
        return self._slide.icc_profile

    def close(self) -> None:
        """See `Slide.close`."""
        self._slide.close()
