"""Pictures on disk: slides and fields of every kind, and the folder that an annotation file's names are looked up in."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.core.errors import MitoserveError, UnsupportedFormatError
from serving.datasets.flat_tiff import open_flat_tiff
from serving.datasets.import_report import FormatError
from serving.datasets.mosaic import MosaicSlide
from serving.slides.arrayslide import ArraySlide
from serving.slides.imageslide import MAX_IMAGE_PIXELS
from serving.slides.opening import open_slide
from serving.slides.readers.reader import SLIDE_READERS
from serving.slides.slide import Slide
from serving.slides.tilecache import CACHE_BYTES

_BLACK = 8
"""Mean of a row or column that holds no tissue."""
_FLAT = frozenset({".tif", ".tiff", ".bmp"})


def open_picture(path: Path, *, name: str | None = None, strip_bytes: int = CACHE_BYTES) -> Slide:
    """A slide as serving opens it, a folder of tiles, or a flat TIFF or BMP field, which contests publish and no scanner writes.

    A TIFF of strips is decoded strip by strip.

    name : what reports call it; by default the file's name. strip_bytes : of decoded strips that are kept

    Raises
    ------
    MitoserveError
        If the file is damaged, or neither.
    """
    if path.is_dir():
        return MosaicSlide(path)
    try:
        return open_slide(path, name=name)
    except UnsupportedFormatError:
        if path.suffix.lower() not in _FLAT:
            raise
    if (strips := open_flat_tiff(path, name or path.name, strip_bytes)) is not None:
        return strips
    with _flat(path) as image:
        return ArraySlide(np.asarray(image.convert("RGB")), mpp=None, name=name or path.name, vendor="flat")


@dataclass(frozen=True, slots=True)
class PictureProperties:
    """What a picture says of itself.

    stored_scale : px of the file per level-0 px along x and y: a slide whose pixels are not square is read in square ones
    origin : (x, y), level-0 px, of what QuPath calls (0, 0)
    """

    width: int
    height: int
    mpp: float | None
    stored_scale: tuple[float, float] = (1.0, 1.0)
    origin: tuple[int, int] = (0, 0)


def read_properties(path: Path) -> PictureProperties:
    """Size and resolution of a picture.

    Raises
    ------
    FormatError
        If it does not open.
    """
    try:
        try:
            with open_slide(path) as slide:
                origin = (0, 0) if slide.bounds is None else slide.bounds[:2]
                return PictureProperties(slide.width, slide.height, slide.mpp, slide.stored_scale, origin)
        except UnsupportedFormatError:
            if path.suffix.lower() not in _FLAT:
                raise
        with _flat(path) as image:
            return PictureProperties(image.width, image.height, None)
    except (MitoserveError, OSError) as error:
        raise FormatError(path, "picture", str(error)) from error


def has_padding(crop: NDArray[np.uint8]) -> bool:
    """Whether an edge row or column of a crop, uint8, shape (h, w, 3), is all but black."""
    edges = (crop[0], crop[-1], crop[:, 0], crop[:, -1])
    return any(float(edge.mean()) < _BLACK for edge in edges)


@contextmanager
def _flat(path: Path) -> Iterator[Image.Image]:
    """A picture that no slide reader knows, not yet decoded."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise UnsupportedFormatError(
                    f"{path.name} is a flat picture of {image.width} x {image.height} px; make a tiled TIFF of it"
                )
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnsupportedFormatError(f"{path.name} is neither a slide nor a picture ({error})") from error


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """Every picture below `root`, found by path, by name or by name without suffix."""

    root: Path
    _by_name: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for path in self.all():
            relative = path.relative_to(self.root)
            for key in {relative.as_posix(), relative.with_suffix("").as_posix(), path.name, path.stem}:
                self._by_name[key].append(path)

    def all(self) -> list[Path]:
        """The pictures, sorted by path."""
        known = {*SLIDE_READERS.suffixes(pictures=True), *_FLAT}
        return sorted(p for p in self.root.rglob("*") if p.suffix.lower() in known and p.is_file())

    def find(self, *names: str) -> Path | None:
        """The picture that one of `names` means, the first that is found; None if there is none.

        Raises
        ------
        FormatError
            If a name means several pictures.
        """
        for name in names:
            found = self._by_name.get(name.replace("\\", "/"), [])
            exact = [path for path in found if self.relative(path) == name]
            if len(found) > 1 and not exact:
                listed = ", ".join(str(p.relative_to(self.root)) for p in found[:3])
                raise FormatError(self.root, f"picture {name}", f"the name means several: {listed}; give its path")
            if found:
                return (exact or found)[0]
        return None

    def relative(self, path: Path) -> str:
        """A picture's path from `root`, as the store has it."""
        return path.relative_to(self.root).as_posix()
