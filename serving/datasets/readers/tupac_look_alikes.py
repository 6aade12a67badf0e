"""Crops that a detector took for mitoses in TUPAC16 pictures and that are none: `27_01_10.jpg`, the case first."""

import re

from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.patient import tupac_case
from serving.datasets.readers.crops import Crop, crops_dataset
from serving.datasets.readers.registry import CONTEST, reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset

FORMAT = "tupac16-look-alikes"
_NAME = re.compile(r"\d+(_\w+)?")


@reader(FORMAT, summary="folder of crops <case>_<...>.jpg, none a figure", takes="folder", licence=CONTEST)
def read_tupac_look_alikes(source: Source, report: ImportReport) -> Dataset:
    """Crops whose middle is a look-alike; the case is that of TUPAC16, as in AMi-Br.

    Raises
    ------
    FormatError
        If a picture's name does not begin with a case.
    """
    crops = []
    for path in source.pictures.all():
        if _NAME.fullmatch(path.stem) is None:
            raise FormatError(source.path, path.name, "does not begin with a case of TUPAC16, e.g. 27_01_10")
        case = tupac_case(path.name)
        crops.append(Crop((source.pictures.relative(path),), path.name, case, None, label="look-alike"))
    return crops_dataset(source, report, FORMAT, crops)
