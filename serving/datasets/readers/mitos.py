"""Names of the two MITOS contests: `A03_00`, `A03_00Aa`. A and H are one slide on two scanners, so one patient."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.patient import mitos_case
from serving.datasets.readers.source import Sized, Source

_NAME = re.compile(r"(?P<scanner>[AHM])(?P<number>\d\d)(_|$)")
SCANNERS = {"A": "Aperio Scanscope XT", "H": "Hamamatsu Nanozoomer 2.0-HT", "M": "multispectral microscope"}


@dataclass(frozen=True, slots=True)
class MitosName:
    """What a picture's name says."""

    scanner: str
    """A, H or M."""
    number: str
    """Of the slide, the same on every scanner."""

    @property
    def slide(self) -> str:
        """As the contest calls it: A03."""
        return self.scanner + self.number

    @property
    def patient(self) -> str:
        """The same on every scanner and in both contests."""
        return mitos_case(self.number)

    @property
    def attributes(self) -> dict[str, str]:
        """For the store."""
        return {"scanner": SCANNERS[self.scanner]}


def label_files(source: Source, pattern: str, called: str) -> dict[str, Path]:
    """Label files below the source's folder, by name without suffix.

    Raises
    ------
    FormatError
        If there are none. called : their names, for people
    """
    files = {file.stem: file for file in sorted(source.path.rglob(pattern))}
    if not files:
        raise FormatError(source.path, "folder", f"holds no {called}")
    return files


def contest_pictures(
    source: Source, report: ImportReport, paths: Iterable[Path], mpp: Mapping[str, float]
) -> Iterator[tuple[Path, MitosName, Sized]]:
    """Pictures of the folder of images that open, with what their names say. mpp : um/px by scanner, as the contest states them."""
    for path in paths:
        name = mitos_name(path)
        relative = source.pictures.relative(path)
        sized = source.picture(report, relative, where=str(path), nominal_mpp=mpp.get(name.scanner))
        if sized is not None:
            yield path, name, sized


def mitos_name(path: Path) -> MitosName:
    """Scanner and slide number of a contest's picture.

    Raises
    ------
    FormatError
        If the file has no contest's name.
    """
    found = _NAME.match(path.stem)
    if found is None:
        raise FormatError(path, "file name", "does not begin as the contest names pictures, e.g. A03_00")
    return MitosName(found["scanner"], found["number"])
