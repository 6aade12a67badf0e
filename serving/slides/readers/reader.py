"""A reader of slides, and the registry of all: each file of this package, and each plug-in, registers its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from serving.core.errors import EmptyUploadError, UnreadableSlideError
from serving.plugins import LAST, RankedRegistry
from serving.slides.dicomfiles import HEAD_BYTES
from serving.slides.slide import Slide

GROUP = "mitoserve.slide_readers"
"""Entry point group of plug-ins: each names a module that adds its readers to `SLIDE_READERS` when it is imported."""


class SlideReader(ABC):
    """What tells one kind of slide, says which files are one, and opens it."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Of main files, in small letters: what a listing of a folder or a bucket, which opens nothing, takes for slides."""
    formats: ClassVar[tuple[str, ...]] = ()
    """What people call the formats that it reads, for messages; by default its suffixes in capitals."""
    heads: ClassVar[tuple[bytes, ...]] = ()
    """How main files begin, in their first `HEAD_BYTES`; none where the suffix must do."""
    whole: ClassVar[bool] = True
    """Whether the main file alone is a slide: if not, it is uploaded in an archive with the others."""
    picture: ClassVar[bool] = False
    """Whether such a file is a slide only where there is no other, since it lies beside slides as label or thumbnail."""
    folder_beside: ClassVar[bool] = False
    """Whether the further files lie in a folder with the name of the main file."""
    grouped: ClassVar[bool] = False
    """Whether files are told to be one slide by what they hold: `group` says so."""
    owns_folder: ClassVar[bool] = False
    """Whether all that lies in the folder of the main file, and below it, is the slide's."""
    rank: ClassVar[int] = LAST
    """Place among all readers: the first that takes a file opens it."""

    def takes(self, path: Path, head: bytes) -> bool:
        """Whether a file is the main file of such a slide, by its suffix and its first bytes alone."""
        named = not self.suffixes or path.suffix.lower() in self.suffixes
        return named and (not self.heads or head.startswith(self.heads))

    def files(self, path: Path, called: str | None = None) -> Sequence[Path]:
        """All files of the slide of which `path` is one.

        Parameters
        ----------
        path
            The main file, or another that the reader takes.
        called
            What errors call it, by default its own name.

        Raises
        ------
        MitoserveError
            If one is missing or damaged.
        """
        return [path]

    def folder(self, path: Path) -> Path | None:
        """The folder with further files of the slide whose main file is `path`, all that its decoder may see; None without."""
        return path.with_suffix("") if self.folder_beside else None

    def find_main(self, folder: Path) -> Path | None:
        """The main file of the slide whose further files are in `folder`, where it lies outside; None if there is none."""
        return None

    def group(self, paths: Sequence[Path]) -> list[list[Path]]:
        """The slides among files that the reader takes, each with its main file first; what is in none is no slide."""
        return [[path] for path in paths]

    @abstractmethod
    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """The slide whose main file is `path`.

        Parameters
        ----------
        path
            The main file; the others are where `files` found them.
        name
            What reports and errors call the slide.
        memory
            Bytes that this process may use; None: as many as there are.

        Raises
        ------
        MitoserveError
            If it is damaged or too large; anything else counts as a crash of the reader.
        """


class SlideReaderRegistry(RankedRegistry[type[SlideReader]]):
    """Readers by name, in the order of their ranks."""

    def find(self, path: Path, head: bytes) -> SlideReader | None:
        """What opens a file with these first bytes; None where nothing does."""
        return next((made for reader in self.values() if (made := reader()).takes(path, head)), None)

    def describe_formats(self) -> str:
        """The sentence that says which formats are readable, in the order of the readers."""
        *names, last = (
            name
            for reader in self.values()
            for name in reader.formats or (suffix.removeprefix(".").upper() for suffix in reader.suffixes)
        )
        return f"{', '.join(names)} and {last} are readable"

    def owns(self, folder: Path) -> bool:
        """Whether a folder is a slide with all that lies in it and below."""
        return any(reader.owns_folder and reader().find_main(folder) is not None for reader in self.values())

    def suffixes(self, *, pictures: bool = False) -> tuple[str, ...]:
        """Suffixes of main files of slides, and of pictures where they are asked for."""
        return tuple(s for reader in self.values() if pictures or not reader.picture for s in reader.suffixes)

    def parted_suffixes(self) -> tuple[str, ...]:
        """Suffixes of main files that alone are no slide."""
        return tuple(s for reader in self.values() if not reader.whole for s in reader.suffixes)

    def has_folder_beside(self, name: str) -> bool:
        """Whether by its name a file has its further files in a folder that is called so."""
        return name.lower().endswith(
            tuple(s for reader in self.values() if reader.folder_beside for s in reader.suffixes)
        )


SLIDE_READERS = SlideReaderRegistry("slide reader", "serving.slides.readers", GROUP)


def read_head(path: Path, name: str) -> bytes:
    """The first bytes of a file, by which its kind is told.

    Parameters
    ----------
    path
        The file.
    name
        What errors call it.

    Raises
    ------
    EmptyUploadError, UnreadableSlideError
        If it is missing or empty.
    """
    if not path.is_file():
        raise UnreadableSlideError(f"there is no file {name}")
    if path.stat().st_size == 0:
        raise EmptyUploadError(f"{name} has no bytes; send the slide's content")
    with path.open("rb") as handle:
        return handle.read(HEAD_BYTES)
