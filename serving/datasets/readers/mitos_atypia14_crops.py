"""Crops of single figures of MITOS-ATYPIA-14: `A04_00Ab_mitosis.csv1.jpg` is line 1 of a frame's table of mitoses."""

import re

from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.readers.crops import Crop, crops_dataset
from serving.datasets.readers.mitos import mitos_name
from serving.datasets.readers.mitos_atypia14 import MPP
from serving.datasets.readers.registry import CONTEST, reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset

FORMAT = "mitos-atypia14-crops"
_NAME = re.compile(r"(?P<frame>[AH]\d\d_\d\d[A-D][a-d])_mitosis\.csv(?P<line>\d+)")


@reader(FORMAT, summary="folder of crops <frame>_mitosis.csv<line>.jpg, all figures", takes="folder", licence=CONTEST)
def read_mitos_atypia14_crops(source: Source, report: ImportReport) -> Dataset:
    """Crops whose middle is a figure; the slide's number is the patient, as on the other scanner and in the frames.

    Raises
    ------
    FormatError
        If a picture is not named so, or crops come from both scanners, whose resolutions differ.
    """
    crops, scanners = [], set()
    for path in source.pictures.all():
        if _NAME.fullmatch(path.stem) is None:
            raise FormatError(
                source.path, path.name, "is not named <frame>_mitosis.csv<line>, e.g. A04_00Ab_mitosis.csv1"
            )
        name = mitos_name(path)
        scanners.add(name.scanner)
        crops.append(
            Crop(
                names=(source.pictures.relative(path),),
                where=path.name,
                case=name.patient,
                centre=None,
                attributes=name.attributes,
                slide=name.slide,
            )
        )
    if len(scanners) > 1:
        raise FormatError(source.path, "crops", "come from both scanners: import each scanner's folder by itself")
    mpp = MPP[scanners.pop()] if scanners else MPP["A"]
    return crops_dataset(source, report, FORMAT, crops, mpp=mpp)
