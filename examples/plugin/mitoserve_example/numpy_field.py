"""Fields as NumPy arrays: field.npy, uint8 of shape (height, width, 3), with field.json, {"mpp": 0.25}, beside it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.core.errors import UnreadableSlideError
from serving.slides.arrayslide import ArraySlide
from serving.slides.hashing import slide_sha256
from serving.slides.readers.reader import SLIDE_READERS, SlideReader


class NumpyField(ArraySlide):
    """A field whose id is that of its files."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        mpp = float(json.loads(path.with_suffix(".json").read_bytes())["mpp"])
        super().__init__(np.load(path, allow_pickle=False), mpp=mpp, name=name, vendor="numpy")

    @property
    def sha256(self) -> str:
        """See `Slide.sha256`."""
        return slide_sha256(self._path)


@SLIDE_READERS.register("numpy")
class NumpyReader(SlideReader):
    """Two files of one name."""

    suffixes = (".npy",)
    heads = (b"\x93NUMPY",)
    whole = False

    def files(self, path: Path, called: str | None = None) -> Sequence[Path]:
        """See `SlideReader.files`."""
        if not path.with_suffix(".json").is_file():
            raise UnreadableSlideError(f"{called or path.name} lacks its .json")
        return [path, path.with_suffix(".json")]

    def folder(self, path: Path) -> Path | None:
        """See `SlideReader.folder`."""
        return path.parent

    def open(self, path: Path, name: str, memory: int | None = None) -> NumpyField:
        """See `SlideReader.open`."""
        self.files(path, name)
        try:
            return NumpyField(path, name)
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableSlideError(f"{name} is no field of uint8, or its .json states no mpp") from error
