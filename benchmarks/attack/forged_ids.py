"""Slides of several files whose names and contents are cut up otherwise, to have another slide's id."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import generate_uid

from benchmarks.attack.environment import AttackEnvironment, AttackTally, packed
from tests.dicom import write_dicom_slide
from tests.samples import noise

NAMES = ("0.dcm", "1.dcm", "2.dcm")


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """None that is stored has the id of the true one, whichever comes first, and what systems leave beside it changes no id."""
    server = environment.server()
    whole = _series(environment.folder)
    ids: dict[str, str] = {}

    def bring(what: str, files: dict[str, bytes]) -> str | None:
        answer = server.client.post("/v1/slides?filename=a.zip", content=packed(files))
        tally.judge(answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:200]}")
        return str(answer.json()["id"]) if answer.status_code == 201 else None

    forged = _forged(whole)
    half = len(forged) // 2
    for what in list(forged)[:half]:
        ids[what] = bring(what, forged[what]) or ""
    true = bring("the true slide", whole)
    tally.judge(true is not None, "the true slide is refused")
    shown = server.client.get(f"/v1/slides/{true}/thumbnail").content
    for what in list(forged)[half:]:
        ids[what] = bring(what, forged[what]) or ""
    for what, found in ids.items():
        tally.judge(found != true, f"{what}: has the id of the true slide")
    tally.judge(server.client.get(f"/v1/slides/{true}/thumbnail").content == shown, "the slide shows something else")
    for name, content in {".DS_Store": b"\0\0\0\1Bud1", "._0.dcm": b"\0\5\x16\7", "README.txt": b"read me"}.items():
        tally.judge(bring(name, {**whole, name: content}) == true, f"{name} beside it: another id")
    server.stop()


def _forged(whole: dict[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Other slides, of which rules that hash names and contents one after the other cannot tell that they are others."""
    first, second, third = whole.values()
    one, two, three = whole
    return {
        "the second inside the first, with its name": {one: first + two.encode() + b"\0" + second, three: third},
        "the second inside the first": {one: first + second, three: third},
        "all in one": {one: first + second + third},
        "all in one, with names": {one: first + f"{two}\0".encode() + second + f"{three}\0".encode() + third},
        "names exchanged": {one: second, two: first, three: third},
        "another name": {one: first, two: second, "3.dcm": third},
        "a byte of a content in a name": {one: first[:-1], f"{two}{first[-1]:02x}": second, three: third},
        "one left out": {one: first, two: second},
        "one twice": {**whole, "4.dcm": third},
    }


def _series(folder: Path) -> dict[str, bytes]:
    """A DICOM slide of three levels, each a file."""
    pixels, found = noise(600, 500), {}
    for level, name in enumerate(NAMES):
        made = write_dicom_slide(
            folder / "series", np.ascontiguousarray(pixels[:: 2**level, :: 2**level]), mpp=0.25 * 2**level
        )
        data = pydicom.dcmread(made / "level-0.dcm")
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(entropy_srcs=["level", name])
        data.InstanceNumber = level + 1
        data.ImageType = ["DERIVED" if level else "ORIGINAL", "PRIMARY", "VOLUME", "RESAMPLED" if level else "NONE"]
        data.ImagedVolumeWidth, data.ImagedVolumeHeight = 600 * 0.25 / 1000, 500 * 0.25 / 1000
        data.save_as(folder / name, enforce_file_format=True)
        found[name] = (folder / name).read_bytes()
    return found
