"""What a run saw and was made of: `run.json` in its folder, from which model cards are written."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from serving import __version__
from serving.datasets.documents import read_document
from serving.datasets.store import Dataset, Picture
from training.data.combined_stores import find_store_name
from training.data.sampling import Split

RECORD_FILE = "run.json"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class StoreRecord(_Record):
    """One store, and what a run took of it."""

    name: str
    format: str
    licence: str
    pictures: int
    figures: int
    look_alikes: int
    patients: int


class RunRecord(_Record):
    """A run's data, patients by use, and code."""

    stores: tuple[StoreRecord, ...]
    """What it learnt from."""
    train: tuple[str, ...]
    """Patients."""
    validation: tuple[str, ...]
    test: tuple[str, ...]
    before: tuple[str, ...] = ()
    """Patients that the runs whose weights it started from had seen."""
    initial: str
    """Where its first weights came from, and those of the runs that it starts from."""
    initial_data: tuple[StoreRecord, ...] = ()
    """What the runs that it started from had learnt from."""
    code: str

    @property
    def data(self) -> str:
        """Names of the stores."""
        return " + ".join(store.name for store in self.stores)

    @property
    def seen(self) -> frozenset[str]:
        """Patients that took any part in the weights: learnt from, validated on, or seen by a run started from."""
        return frozenset({*self.train, *self.validation, *self.before})


def make_record(
    datasets: Sequence[Dataset], split: Split, *, initial: str, before: Sequence["RunRecord"] = ()
) -> RunRecord:
    """The record of a run on a split of data sets. before : records of the runs that it starts from."""
    train, validation, test = (
        tuple(sorted({p.patient for p in part})) for part in (split.train, split.validation, split.test)
    )
    return RunRecord(
        stores=tuple(_store(d, [p for p in split.train if find_store_name(p) == d.name]) for d in datasets),
        train=train,
        validation=validation,
        test=test,
        before=tuple(sorted(frozenset[str]().union(*(record.seen for record in before)))),
        initial="; ".join([initial, *dict.fromkeys(f"that run from {record.initial}" for record in before)]),
        initial_data=tuple(dict.fromkeys(s for r in before for s in (*r.initial_data, *r.stores))),
        code=f"mitoserve {__version__}, training {code_digest()}",
    )


def read_record(run: Path) -> RunRecord | None:
    """What a run's folder states; None where it states nothing.

    Raises
    ------
    ValueError
        If the file is not what `claim_record` wrote.
    """
    path = run / RECORD_FILE
    return read_document(path, RunRecord) if path.is_file() else None


def claim_record(run: Path, record: RunRecord) -> None:
    """Write the record to a run's folder, or check that the folder's is of the same data; raises `ValueError` otherwise."""
    run.mkdir(parents=True, exist_ok=True)
    stated = read_record(run)
    if stated is None:
        (run / RECORD_FILE).write_text(record.model_dump_json(indent=1))
    elif stated.model_copy(update={"code": record.code, "initial": record.initial}) != record:
        raise ValueError(f"{run} holds a run on other patients or data; choose another folder")


@cache
def code_digest() -> str:
    """SHA-256 of the training package's sources, its first 12 digits."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _store(dataset: Dataset, pictures: Sequence[Picture]) -> StoreRecord:
    return StoreRecord(
        name=dataset.name,
        format=dataset.format,
        licence=dataset.licence,
        pictures=len(pictures),
        figures=sum(a.label == "mitotic figure" for p in pictures for a in p.annotations),
        look_alikes=sum(a.label == "look-alike" for p in pictures for a in p.annotations),
        patients=len({p.patient for p in pictures}),
    )
