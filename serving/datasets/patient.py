"""Whose tissue a slide shows, so that no patient is on two sides of a split, also across data sets."""

import re
from pathlib import PurePath

_TCGA = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?=-|$)")
"""Project, tissue source site and participant of a TCGA barcode; what follows is the sample and the slide."""
_MITOS = re.compile(r"[AHM](?P<number>\d\d)(?=_|$)")
"""Scanner and slide of a MITOS contest's picture, `A03_00`: A and H are one slide on two scanners."""

_OLD_MITOS = re.compile(r"^mitos(2012|-atypia14)/(?=\d\d$)")


def parse_patient(file: str) -> str:
    """The patient that a slide's file name states: a TCGA participant, else the name without its suffix."""
    stem = PurePath(file.replace("\\", "/")).stem
    found = _TCGA.match(stem)
    return found.group() if found else stem


def parse_case(dataset: str, file: str) -> str:
    """The patient of a file of a published data set, under the name that every other set with that case gives it.

    dataset : its name; what begins with "midog", "tupac" or "mitos" numbers cases, of others the file's name decides
    """
    kind, patient = dataset.lower(), parse_patient(file)
    if kind.startswith("midog"):
        return midog_case(file)
    if kind.startswith("tupac"):
        return tupac_case(file)
    if kind.startswith("mitos") and (found := _MITOS.match(patient)):
        return mitos_case(found["number"])
    return patient if _TCGA.match(patient) else f"{kind}/{patient}"


def mitos_case(number: str) -> str:
    """The case of a slide number of a MITOS contest: A03 of ICPR 2012 is the biopsy of slide 03 of MITOS-ATYPIA-14."""
    return f"mitos/{number}"


def current_case(patient: str) -> str:
    """The name that a patient has now, where stores of earlier releases gave one name for each MITOS contest."""
    return _OLD_MITOS.sub("mitos/", patient)


def midog_case(file: str) -> str:
    """The case of a MIDOG, MIDOG++ or MIDOG 2025 file: they number one series of cases, `001.tiff` to `553.tiff`."""
    stem = PurePath(file).stem
    return f"midog/{int(stem):03d}" if stem.isdecimal() else f"midog/{stem}"


def tupac_case(case: str) -> str:
    """The case of a TUPAC16 auxiliary folder (`04`) or of a picture stitched from it (`04_stitched1.tif`)."""
    number = PurePath(case).stem.split("_")[0]
    return f"tupac16/{int(number):02d}" if number.isdecimal() else f"tupac16/{number}"
