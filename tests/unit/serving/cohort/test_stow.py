"""Results sent to an archive: the tests' own, which the reference client understands too."""

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner
from dicomweb_client.api import DICOMwebClient

from serving.cli.send import send
from serving.cohort.errors import UnavailableError
from serving.core.errors import RequestError
from serving.store.dicomweb import Credential
from serving.store.stow import send_instances
from tests.dicom import write_dicom_slide
from tests.dicomweb_server import Archive, archive
from tests.samples import noise


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("dicom")
    folders = [write_dicom_slide(root / str(n), noise(300, 260), mpp=0.25, name=f"sent {n}") for n in range(2)]
    return [path for folder in folders for path in sorted(folder.glob("*.dcm"))]


@pytest.fixture
def server() -> Iterator[Archive]:
    with archive() as running:
        yield running


def _uid(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def test_the_reference_client_understands_the_tests_archive(server: Archive, files: list[Path]) -> None:
    DICOMwebClient(server.url).store_instances([pydicom.dcmread(path) for path in files])
    assert sorted(server.stored) == sorted(map(_uid, files))


def test_an_archive_gets_the_very_bytes_and_keeps_one_copy(server: Archive, files: list[Path]) -> None:
    for _ in range(2):
        send_instances(f"dicomweb+{server.url}/", files)
    assert server.stored == {_uid(path): path.read_bytes() for path in files}
    study = pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
    send_instances(f"dicomweb+{server.url}/studies/{study}", files[:1])
    assert server.requests[-1] == f"/dicom-web/studies/{study}"


def test_what_is_refused_is_named_with_its_reason_and_the_rest_is_kept(server: Archive, files: list[Path]) -> None:
    server.refused = {_uid(files[0]): 0xA700}
    with pytest.raises(UnavailableError, match=r"refused 1 of 2 files: .*it has no room") as error:
        send_instances(f"dicomweb+{server.url}", files)
    assert str(files[0]) in str(error.value)
    assert list(server.stored) == [_uid(files[1])]
    server.refused = {_uid(files[0]): 0x1234}
    with pytest.raises(UnavailableError, match="failure reason 4660"):
        send_instances(f"dicomweb+{server.url}", files[:1])


def test_what_cannot_be_sent_is_refused_before_anything_is(server: Archive, files: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "notes.dcm"
    text.write_text("no DICOM")
    with pytest.raises(RequestError, match=r"notes\.dcm is no DICOM file"):
        send_instances(f"dicomweb+{server.url}", [files[0], text])
    for address in (server.url, f"dicomweb+{server.url}/studies/1/series/2", "s3://bucket"):
        with pytest.raises(RequestError, match="is no DICOMweb service"):
            send_instances(address, files)
    assert not server.requests


def test_a_token_goes_to_its_own_host_alone(server: Archive, files: list[Path]) -> None:
    server.token = "secret"
    host = server.url.split("/")[2]
    with pytest.raises(UnavailableError, match="status 401; set MITOSIS_DICOMWEB_TOKEN"):
        send_instances(f"dicomweb+{server.url}", files, credential=Credential("secret", ("other.example",)))
    send_instances(f"dicomweb+{server.url}", files, credential=Credential("secret", (host,)))
    assert len(server.stored) == len(files)


def test_the_command_sends_dicom_to_archives_and_all_files_to_folders(
    server: Archive, files: list[Path], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "report.json").write_text("{}")
    (results / "annotations.dcm").write_bytes(files[0].read_bytes())
    runner = CliRunner()
    sent = runner.invoke(send, [str(results), "--to", f"dicomweb+{server.url}"])
    assert (sent.exit_code, list(server.stored)) == (0, [_uid(files[0])])
    assert "sent 1 DICOM file" in sent.output
    copied = runner.invoke(send, [str(results), "--to", str(tmp_path / "kept")])
    assert copied.exit_code == 0
    assert (tmp_path / "kept" / "results" / "report.json").read_text() == "{}"
    assert (tmp_path / "kept" / "results" / "annotations.dcm").is_file()
    none = runner.invoke(send, [str(results / "report.json"), "--to", f"dicomweb+{server.url}"])
    assert none.exit_code == 2
    assert "none ends with .dcm" in none.output
    gone = runner.invoke(send, [str(results), "--to", "dicomweb+http://127.0.0.1:9/dicom-web"])
    assert gone.exit_code == 1
    assert "cannot be had" in gone.output
