"""Names of the two MITOS contests: `A03_00`, `A03_00Aa`. A and H are one slide on two scanners, so one patient."""

import re
from dataclasses import dataclass
from pathlib import Path

from training.data.import_report import FormatError
from training.data.patient import mitos_case

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
