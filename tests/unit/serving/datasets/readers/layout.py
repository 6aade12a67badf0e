"""Pictures and imports that the readers' tests share."""

from pathlib import Path

from PIL import Image

from serving.datasets.formats import import_dataset
from serving.datasets.import_report import ImportReport
from serving.datasets.readers.classes import ClassNames
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset, Picture


def draw(path: Path, width: int = 200, height: int = 100, *, colour: tuple[int, int, int] = (220, 160, 200)) -> Path:
    """A plain picture, wider than high so that swapped axes show."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path)
    return path


def imported(
    name: str,
    path: Path,
    images: Path | None = None,
    *,
    mpp: float | None = None,
    classes: ClassNames | None = None,
) -> tuple[Dataset, ImportReport]:
    """What a format's reader makes of `path`."""
    folder = images or (path if path.is_dir() else path.parent)
    given = ClassNames() if classes is None else classes
    return import_dataset(name, Source(path, folder, "tests", "none", mpp, given))


def by_id(dataset: Dataset) -> dict[str, Picture]:
    """Pictures by id."""
    return {picture.id: picture for picture in dataset}


def boxes(picture: Picture) -> list[tuple[str, tuple[float, ...]]]:
    """Label and box of each annotation."""
    return [(a.label, a.box) for a in picture.annotations]
