"""A labelled folder as its publisher laid it out, its format told by what lies in it."""

import json
from pathlib import Path

from serving.core.errors import RequestError
from serving.datasets.formats import import_dataset
from serving.datasets.import_report import ImportReport
from serving.datasets.readers.registry import FORMATS
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset, read_store

STORE = "store"
"""What the project's own file of a data set is called beside the names of published formats."""
_TILES = "midog-tiles"
_KEYS = {"midog": {"images", "annotations", "categories"}, STORE: {"name", "root", "pictures"}}
"""Of JSON documents."""


def read_labelled_folder(
    path: Path, *, format_name: str | None = None, images: Path | None = None, mpp: float | None = None
) -> tuple[Dataset, ImportReport]:
    """The pictures and labels of a folder, or of the annotation file in one, and what became of its records.

    A picture that does not open is noted and left out, or kept where the labels state its size: it then fails when it is scored.

    Parameters
    ----------
    path
        A data set as published, a store of this project, or a folder of QuPath GeoJSON beside slides.
    format_name
        Name of a format of `FORMATS`, or `store`; by default it is told by the files.
    images
        Folder of the pictures; by default the folder of the labels.
    mpp
        Microns per px of every picture, in place of what files state.

    Raises
    ------
    RequestError
        If the format cannot be told, or the labels are not laid out as it says.
    """
    name, labels = (format_name, path) if format_name is not None else find_format(path)
    if name != STORE and name not in FORMATS:
        raise RequestError(f"there is no format {name}; there are {STORE}, {', '.join(FORMATS)}")
    try:
        if name == STORE:
            dataset = read_store(labels)
            pictures = [p.model_copy(update={"mpp": mpp or p.mpp}) for p in dataset]
            root = {} if images is None else {"root": str(images.resolve())}
            return dataset.model_copy(update={"pictures": tuple(pictures), **root}), ImportReport()
        folder = labels if labels.is_dir() else labels.parent
        source = Source(
            path=labels,
            images=images or folder,
            name=labels.stem.lower(),
            licence=FORMATS[name].licence,
            mpp=mpp,
            keeps_broken=True,
        )
        return import_dataset(name, source)
    except (ValueError, OSError) as error:
        raise RequestError(f"{labels} cannot be read as {name}: {error}") from error


def find_format(path: Path) -> tuple[str, Path]:
    """The format of a labelled folder or annotation file, and where its labels lie.

    Raises
    ------
    RequestError
        If there are no labels, or several files that could be.
    """
    if path.is_file():
        name = _name_format(path)
        if name is None:
            raise RequestError(f"{path.name} is no file of labels that is known: name its format")
        return name, path
    if not path.is_dir():
        raise RequestError(f"there is no {path}")
    if (path / "tiles").is_dir() and (path / "labels.csv").is_file():
        return _TILES, path
    files = [p for p in sorted(path.iterdir()) if p.is_file()]
    found = [(name, file) for file in files if (name := _name_format(file)) is not None]
    if {name for name, _ in found} == {"qupath"}:
        return "qupath", path
    listed = [(name, file) for name, file in found if name != "qupath"]
    if len(listed) == 1:
        return listed[0]
    if listed:
        raise RequestError(
            f"{path} holds {', '.join(file.name for _, file in listed)}: name one of them in place of the folder"
        )
    raise RequestError(
        f"{path} holds no labels that are known: MIDOG.json or MIDOG++.json, a .sqlite of SlideRunner, .geojson of QuPath, or a "
        "store; name the format of others"
    )


def _name_format(file: Path) -> str | None:
    """The format of a file by its suffix and, of JSON, its keys; None of what is no file of labels."""
    if file.name.endswith((".geojson", ".geojson.gz")):
        return "qupath"
    if file.suffix.lower() in (".sqlite", ".db"):
        return "sliderunner"
    try:
        stated = json.loads(file.read_bytes()) if file.suffix.lower() == ".json" else None
    except (OSError, ValueError):
        stated = None
    keys = set(stated) if isinstance(stated, dict) else set()
    return next((name for name, needed in _KEYS.items() if needed <= keys), None)
