"""The formats that can be imported: each reader registers itself here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from serving.datasets.import_report import ImportReport
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset
from serving.plugins import Registry

UNSTATED = "not stated; check before use"
CONTEST = "contest data, research use"

Read = Callable[[Source, ImportReport], Dataset]


@dataclass(frozen=True, slots=True)
class Format:
    """A published layout.

    summary : what PATH is, in a line
    takes : whether PATH may be a file or a folder
    licence : the publisher's, as far as known
    """

    summary: str
    takes: Literal["file", "folder", "either"]
    licence: str
    read: Read


FORMATS: Registry[Format] = Registry("format", "serving.datasets.readers")


def reader(
    name: str, *, summary: str, takes: Literal["file", "folder", "either"], licence: str = UNSTATED
) -> Callable[[Read], Read]:
    """Register a function that reads one published format; arguments as `Format`."""

    def add(read: Read) -> Read:
        FORMATS.add(name, Format(summary, takes, licence, read))
        return read

    return add
