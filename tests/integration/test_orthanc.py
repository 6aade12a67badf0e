"""Annotations and reports in Orthanc, a real archive, by its DICOMweb plug-in; Debian has both (orthanc, orthanc-dicomweb)."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pydicom
import pytest

from serving.exports import EXPORTS
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from serving.store.dicomweb import fetch_series
from serving.store.stow import send_instances
from tests.dicom import write_dicom_slide
from tests.fakes import DotDetector, plant, tissue
from tests.limits import LONGEST_S

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        ORTHANC is None or not PLUGIN.is_file(), reason="Orthanc and its DICOMweb plug-in are not installed here"
    ),
]


def free_port() -> int:
    with closing(socket.socket()) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of its DICOMweb service."""
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    stated = {
        "Name": "tests", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"),
        "HttpPort": port, "DicomPort": free_port(), "DicomServerEnabled": False, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(stated))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(ORTHANC), str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + LONGEST_S
            while True:
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/dicom-web/studies", timeout=LONGEST_S).is_success:
                        break
                except httpx.TransportError:
                    assert time.monotonic() < deadline, (folder / "log").read_text()
            yield f"dicomweb+http://127.0.0.1:{port}/dicom-web"
        finally:
            process.terminate()
            process.wait(LONGEST_S)


def test_slide_annotations_and_report_lie_in_one_study_and_come_back_as_they_were(orthanc: str, tmp_path: Path) -> None:
    pixels = tissue(900, 700)
    plant(pixels, 300, 300)
    folder = write_dicom_slide(tmp_path / "slide", pixels, mpp=0.25)
    with open_slide(folder) as slide:
        analysis = score_slide(slide, DotDetector())
    main = next(folder.glob("*.dcm"))
    files = []
    for name in ("dicom-ann", "dicom-sr"):
        files.append(tmp_path / EXPORTS[name].file_name)
        files[-1].write_bytes(EXPORTS[name].render(analysis, main))
    for _ in range(2):  # what is sent again is one instance still
        send_instances(orthanc, [main, *files])
    service = orthanc.removeprefix("dicomweb+")
    study = str(pydicom.dcmread(main, stop_before_pixels=True).StudyInstanceUID)
    found = httpx.get(
        f"{service}/studies/{study}/series", headers={"Accept": "application/dicom+json"}, timeout=LONGEST_S
    ).json()
    assert sorted(one["00080060"]["Value"][0] for one in found) == ["ANN", "SM", "SR"]
    for file in files:
        sent = pydicom.dcmread(file)
        target = tmp_path / str(sent.SeriesInstanceUID)
        target.mkdir()
        fetch_series(f"{orthanc}/studies/{study}/series/{sent.SeriesInstanceUID}", target, max_bytes=2**24)
        (kept,) = target.iterdir()
        assert pydicom.dcmread(kept).to_json_dict() == sent.to_json_dict()
