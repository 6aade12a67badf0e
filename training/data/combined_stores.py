"""Several stores as one, so that a run learns from and is judged on all of them."""

from collections.abc import Sequence
from pathlib import Path

from serving.datasets.store import Dataset, Picture, read_store

STORE = "store"
"""The attribute of a picture that names its store."""


def read_stores(paths: Sequence[Path]) -> Dataset:
    """The stores of files as one data set; see `combine_datasets`.

    Raises
    ------
    ValueError
        If a file is no store, none is given, or two of the stores have one name.
    """
    return combine_datasets([read_store(path) for path in paths])


def combine_datasets(datasets: Sequence[Dataset]) -> Dataset:
    """Data sets as one, whose pictures say in their attributes which store they are of.

    Patients keep their names: readers name them alike across data sets, so that one shown by two sets stays on one side of
    every split.

    Raises
    ------
    ValueError
        If there is none, or two have one name.
    """
    if not datasets:
        raise ValueError("no store is given")
    names = [d.name for d in datasets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two stores are called {twice[0]}; import one again with another --name")
    alone = len(datasets) == 1
    return Dataset(
        name=" + ".join(names),
        format=" + ".join(dict.fromkeys(d.format for d in datasets)),
        licence="; ".join(f"{d.name}: {d.licence}" for d in datasets) if not alone else datasets[0].licence,
        root=datasets[0].root if alone else "/",
        pictures=tuple(_with_store_name(d, picture, alone=alone) for d in datasets for picture in d.pictures),
    )


def find_store_name(picture: Picture) -> str:
    """The name of the store that a picture of a combined data set is of."""
    return picture.attributes[STORE]


def full_id(picture: Picture) -> str:
    """A picture's id behind its store's name, whether its store is combined with others or alone."""
    store = find_store_name(picture)
    return picture.id if picture.id.startswith(f"{store}/") else f"{store}/{picture.id}"


def _with_store_name(dataset: Dataset, picture: Picture, *, alone: bool) -> Picture:
    changed: dict[str, object] = {"attributes": {**picture.attributes, STORE: dataset.name}}
    if not alone:
        changed["id"] = f"{dataset.name}/{picture.id}"
        changed["path"] = str((Path(dataset.root) / picture.path).resolve())
    return picture.model_copy(update=changed)
