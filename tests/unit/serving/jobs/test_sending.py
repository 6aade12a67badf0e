"""Results that the server sends: to folders and archives, until they arrive, whatever fails or dies meanwhile."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from sqlalchemy import select, update

from serving.api.app import create_app
from serving.exports.export import EXPORTS, Export
from serving.jobs.sending import LONG, MARK, RESTS_S, check_targets, list_targets
from serving.settings import ServerSettings, SettingsError
from serving.store.database import open_database
from serving.store.tables import deliveries
from tests.clients import LocalClient
from tests.dicom import write_dicom_slide
from tests.dicomweb_server import archive
from tests.fakes import DotDetector, plant, tissue
from tests.samples import write_pyramid
from tests.services import until


def dotted() -> NDArray[np.uint8]:
    pixels = tissue(900, 700)
    plant(pixels, 300, 300)
    return pixels


@contextmanager
def server(settings: ServerSettings) -> Iterator[LocalClient]:
    with LocalClient(create_app(settings, load=DotDetector)) as client:
        yield client


def analyse(client: LocalClient, content: bytes, name: str) -> str:
    slide = client.post(
        f"/v1/slides?filename={name}", content=content, headers={"Content-Type": "application/octet-stream"}
    )
    assert slide.status_code == 201, slide.text
    return str(client.post("/v1/analyses", json={"slide": slide.json()["id"]}).json()["id"])


def sent(client: LocalClient, analysis: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = client.get(f"/v1/analyses/{analysis}").json()["sent"]
    return found


def ended(client: LocalClient, analysis: str) -> bool:
    return bool(client.get(f"/v1/analyses/{analysis}").json()["state"] == "succeeded")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    pixels = dotted()
    return write_pyramid(tmp_path_factory.mktemp("slide") / "a.tif", pixels, mpp=0.25).read_bytes()


def test_a_result_arrives_in_the_folder_under_the_analysis(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "results"
    settings = ServerSettings(state=tmp_path / "state", send_to=(str(target),), send_formats=("report", "geojson"))
    with server(settings) as client:
        analysis = analyse(client, content, "a.tif")
        until(lambda: [one["state"] for one in sent(client, analysis)] == ["delivered", "delivered"])
        report = client.get(f"/v1/analyses/{analysis}/report").json()
        again = analyse(client, content, "a.tif")  # answered by the result that is there
        until(lambda: [one["state"] for one in sent(client, again)] == ["delivered", "delivered"])
    stored = json.loads((target / analysis / "report.json").read_text())
    assert stored["analysis_id"] == report["analysis_id"]
    assert sorted(path.parent.name for path in target.glob("*/report.json")) == sorted([analysis, again])


def test_a_printed_report_is_sent_with_the_pixels_of_the_slide(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "results"
    settings = ServerSettings(state=tmp_path / "state", send_to=(str(target),), send_formats=("html",))
    with server(settings) as client:
        analysis = analyse(client, content, "a.tif")
        until(lambda: [one["state"] for one in sent(client, analysis)] == ["delivered"])
        shown = client.get(f"/v1/analyses/{analysis}/report.html").text
    assert (target / analysis / "report.html").read_text() == shown


def test_what_cannot_be_sent_waits_and_arrives_once_it_can_from_another_server(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "results"
    target.write_text("a file where the folder should be")
    settings = ServerSettings(state=tmp_path / "state", send_to=(str(target),))
    with server(settings) as client:
        analysis = analyse(client, content, "a.tif")
        until(lambda: sent(client, analysis) != [] and sent(client, analysis)[0]["attempts"] != 0)
        until(lambda: sent(client, analysis)[0]["outcome"] != "")
        (waiting,) = sent(client, analysis)
        assert waiting["state"] == "waiting"
        assert waiting["next_at"] is not None
    target.unlink()
    database = open_database(settings)
    with database.writing() as tx:  # the rest is over, or a server that was killed left a claim that has run out
        tx.execute(update(deliveries).values(next_at=time.time() - 1))
    database.close()
    with server(settings) as client:
        until(lambda: sent(client, analysis)[0]["state"] == "delivered")
    assert (target / analysis / "report.json").is_file()


def test_dicom_goes_to_an_archive_and_other_formats_do_not(tmp_path: Path) -> None:
    folder = write_dicom_slide(tmp_path / "dicom", dotted(), mpp=0.25)
    with archive() as pacs:
        settings = ServerSettings(
            state=tmp_path / "state",
            send_to=(f"dicomweb+{pacs.url}",),
            send_formats=("report", "dicom-ann"),
            dicomweb_archives=(f"pacs={pacs.url}",),
        )
        with server(settings) as client:
            steps = pacs.add(folder).split("/")
            named = {"archive": "pacs", "study": steps[-3], "series": steps[-1]}
            slide = client.post("/v1/slides", json=named).json()["id"]
            analysis = str(client.post("/v1/analyses", json={"slide": slide}).json()["id"])
            until(lambda: [one["state"] for one in sent(client, analysis)] == ["delivered"])
        (file,) = pacs.stored.values()
    (tmp_path / "sent.dcm").write_bytes(file)
    assert pydicom.dcmread(tmp_path / "sent.dcm").StudyInstanceUID == named["study"]


def test_dicom_of_a_slide_that_is_none_fails_with_the_reason(tmp_path: Path, content: bytes) -> None:
    settings = ServerSettings(
        state=tmp_path / "state", send_to=("dicomweb+http://127.0.0.1:9/x",), send_formats=("dicom-ann",)
    )
    with server(settings) as client:
        analysis = analyse(client, content, "a.tif")
        until(lambda: [one["state"] for one in sent(client, analysis)] == ["failed"])
        assert "DICOM" in str(sent(client, analysis)[0]["outcome"])


def test_a_result_is_sent_as_it_was_signed_with_each_signature(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "results"
    settings = ServerSettings(
        state=tmp_path / "state", send_to=(str(target),), send_formats=("report", "geojson"), send_when="signed"
    )
    with server(settings) as client:
        analysis = analyse(client, content, "a.tif")
        where = f"/v1/analyses/{analysis}"
        until(lambda: ended(client, analysis))
        assert sent(client, analysis) == [], "nothing is sent before somebody signs"
        signed = client.post(f"{where}/signatures", json={"review": "own", "name": "Dr. A"})
        assert signed.status_code == 201, signed.text
        until(lambda: [one["state"] for one in sent(client, analysis)] == ["delivered"] * 2)
        rejected = client.post(
            f"{where}/reviews", json={"action": "reject", "target": "detection-0", "reviewer": "Dr. A"}
        )
        assert rejected.status_code == 201, rejected.text
        again = client.post(f"{where}/signatures", json={"review": "own", "name": "Dr. A"})
        assert again.status_code == 201, again.text
        until(lambda: [one["state"] for one in sent(client, analysis)] == ["delivered"] * 4)
        numbers = sorted({int(str(one["signature"])) for one in sent(client, analysis)})
        wanted = [client.get(f"{where}/report?signature={number}").json() for number in numbers]
    found = [json.loads((target / analysis / f"signature-{n}" / "report.json").read_text()) for n in numbers]
    assert [one["review"]["counts"]["mitotic_figures"] for one in found] == [1, 0]
    for one, other in zip(found, wanted, strict=True):
        assert one["review"] == other["review"]
        assert one["signatures"][0]["sha256"] == other["signatures"][0]["sha256"]
    assert not (target / analysis / "report.json").exists()


def test_what_could_not_be_sent_is_a_warning_of_the_worklist(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "results"
    target.write_text("a file where the folder should be")
    settings = ServerSettings(state=tmp_path / "state", send_to=(str(target),))
    with server(settings) as client:
        analysis = analyse(client, content, "a.tif")
        until(lambda: sent(client, analysis) != [] and sent(client, analysis)[0]["outcome"] != "")

        def listed(**query: bool) -> list[int]:
            return [row["unsent"] for row in client.get("/v1/worklist", params=query).json()["rows"]]

        assert listed() == [0], "one attempt that failed is none to look after"
        assert listed(warnings=True) == []
        database = open_database(settings)
        with database.writing() as tx:
            tx.execute(update(deliveries).values(attempts=LONG, next_at=time.time() + 3600))
        assert listed() == listed(warnings=True) == [1]
        assert listed(warnings=False) == []
        with database.writing() as tx:
            tx.execute(update(deliveries).values(state="delivered"))
        assert listed() == listed(warnings=False) == [0]
        with database.writing() as tx:
            tx.execute(update(deliveries).values(state="failed"))
        assert listed(warnings=True) == [1]
        database.close()


def test_without_the_setting_nothing_is_noted(tmp_path: Path, content: bytes) -> None:
    settings = ServerSettings(state=tmp_path / "state")
    with server(settings) as client:
        analysis = analyse(client, content, "a.tif")
        until(lambda: ended(client, analysis))
        assert sent(client, analysis) == []
    database = open_database(settings)
    with database.reading() as tx:
        assert tx.execute(select(deliveries).where(deliveries.c.url.startswith(MARK))).all() == []
    database.close()


def test_what_is_signed_is_not_sent_in_a_format_that_cannot_say_so() -> None:
    EXPORTS.add("blind", Export("blind.txt", "blind.txt", "text/plain", lambda *_: (b"",)))
    try:
        settings = ServerSettings(send_to=("/x",), send_formats=("report", "blind"))
        check_targets(settings)
        with pytest.raises(SettingsError, match="MITOSIS_SEND_FORMATS names blind, which cannot state a review"):
            check_targets(settings.model_copy(update={"send_when": "signed"}))
    finally:
        EXPORTS.remove("blind")


def test_settings_that_could_send_nothing_are_refused() -> None:
    for wrong in (
        ServerSettings(send_to=("/x",), send_formats=("nonsense",)),
        ServerSettings(send_to=("dicomweb+https://pacs.example/x",)),
        ServerSettings(send_to=("gopher://x/y",)),
    ):
        with pytest.raises(SettingsError, match="MITOSIS_SEND"):
            check_targets(wrong)
    both = ServerSettings(send_to=("/x", "dicomweb+https://pacs.example/x"), send_formats=("report", "dicom-sr"))
    assert list_targets(both) == [("/x", "report"), ("/x", "dicom-sr"), ("dicomweb+https://pacs.example/x", "dicom-sr")]
    assert list(RESTS_S) == sorted(RESTS_S)
