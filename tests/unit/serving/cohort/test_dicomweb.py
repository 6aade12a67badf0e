"""Slides of a DICOMweb archive: the tests' own, which the reference client understands too."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from hypothesis import given
from hypothesis import strategies as st

from serving.cohort.dicomweb import find_series
from serving.cohort.errors import CohortError, MissingSlideError, UnavailableError, describe_problem
from serving.core.errors import SlideTooLargeError
from serving.core.geometry import Region
from serving.slides.hashing import slide_sha256
from serving.slides.opening import open_slide
from serving.store.dicomweb import Credential, fetch_series, is_dicomweb
from tests.dicom import write_dicom_slide
from tests.dicomweb_server import Archive, archive
from tests.samples import noise

GIB = 2**30


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("dicom")
    return [write_dicom_slide(root / str(n), noise(600, 500), mpp=0.25, name=str(n)) for n in range(3)]


@pytest.fixture
def served(slides: list[Path]) -> Iterator[tuple[Archive, list[str]]]:
    with archive() as server:
        yield server, [f"dicomweb+{server.add(folder)}" for folder in slides]


def test_the_reference_client_understands_the_tests_archive(
    served: tuple[Archive, list[str]], slides: list[Path]
) -> None:
    server, _ = served
    client = DICOMwebClient(server.url)
    found = client.search_for_series(search_filters={"Modality": "SM"})
    assert len(found) == 3
    study, series = (found[0][tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    (instance,) = client.retrieve_series(study, series)
    assert instance.SeriesInstanceUID == series


def test_a_series_arrives_as_it_is_kept(served: tuple[Archive, list[str]], slides: list[Path], tmp_path: Path) -> None:
    _, sources = served
    fetch_series(sources[0], tmp_path, max_bytes=GIB)
    original = next(slides[0].glob("*.dcm"))
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == original.read_bytes()
    with open_slide(tmp_path) as fetched, open_slide(slides[0]) as kept:
        assert fetched.mpp == kept.mpp == 0.25
        region = Region(0, 0, 300, 300)
        assert np.array_equal(fetched.read(region, 300, 300), kept.read(region, 300, 300))


def test_whatever_the_order_the_slide_has_one_hash(tmp_path: Path) -> None:
    with archive() as server:
        both = tmp_path / "both"
        both.mkdir()
        for seed, name in enumerate(("a.dcm", "b.dcm")):
            folder = write_dicom_slide(tmp_path / name, noise(300, 300, seed=seed), mpp=0.25, name="of one series")
            (both / name).write_bytes(next(folder.glob("*.dcm")).read_bytes())
        source = f"dicomweb+{server.add(both)}"
        hashes = set()
        for turn in range(2):
            (tmp_path / str(turn)).mkdir()
            fetch_series(source, tmp_path / str(turn), max_bytes=GIB)
            hashes.add(slide_sha256(tmp_path / str(turn)))
            next(iter(server.series.values()))[1].reverse()
        assert len(hashes) == 1


def test_slides_are_found_by_page_and_by_study(
    served: tuple[Archive, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, sources = served
    monkeypatch.setattr("serving.cohort.dicomweb.PAGE", 2)
    assert sorted(find_series(f"dicomweb+{server.url}")) == sorted(sources)
    study = sources[1].partition("/series/")[0]
    assert list(find_series(study)) == [sources[1]]
    assert list(find_series(f"dicomweb+{server.url}?PatientID=nobody")) == []
    with pytest.raises(CohortError, match="is one slide"):
        list(find_series(sources[0]))


def test_an_archive_may_ask_for_a_token(served: tuple[Archive, list[str]], tmp_path: Path) -> None:
    server, sources = served
    server.token = "secret"
    with pytest.raises(UnavailableError, match="status 401; set MITOSIS_DICOMWEB_TOKEN"):
        fetch_series(sources[0], tmp_path, max_bytes=GIB)
    fetch_series(sources[0], tmp_path, max_bytes=GIB, credential=Credential("secret", ("127.0.0.1", "localhost")))
    assert (
        len(list(find_series(f"dicomweb+{server.url}", credential=Credential("secret", ("127.0.0.1", "localhost")))))
        == 3
    )


def test_an_answer_that_breaks_off_is_no_slide(served: tuple[Archive, list[str]], tmp_path: Path) -> None:
    server, sources = served
    server.break_off_after = 100_000
    with pytest.raises(UnavailableError, match="broke off") as caught:
        fetch_series(sources[0], tmp_path, max_bytes=GIB)
    assert describe_problem(caught.value).passing


def test_a_series_that_is_not_there_is_missing(served: tuple[Archive, list[str]], tmp_path: Path) -> None:
    _, sources = served
    with pytest.raises(MissingSlideError) as caught:
        fetch_series(f"{sources[0]}.9", tmp_path, max_bytes=GIB)
    assert not describe_problem(caught.value).passing


def test_a_series_has_a_most(served: tuple[Archive, list[str]], tmp_path: Path) -> None:
    _, sources = served
    with pytest.raises(SlideTooLargeError, match="MITOSIS_MAX_UPLOAD_BYTES"):
        fetch_series(sources[0], tmp_path, max_bytes=100_000)


class _Odd(BaseHTTPRequestHandler):
    answer = (b"text/html", b"<html>")

    def do_GET(self) -> None:
        kind, body = self.answer
        self.send_response(200)
        self.send_header("Content-Type", kind.decode())
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (b"text/html", b"<html>", "'text/html'"),
        (b"multipart/related", b"", "multipart/related"),
        (b"multipart/related; boundary=x", b"no parts at all", "cannot be had"),
        (b"multipart/related; boundary=x", b"--x\r\nno colon\r\n\r\n", "cannot be had"),
        (b"multipart/related; boundary=x", b"--x\r\nA: b\r\n\r\nhalf", "broke off"),
        (b"application/dicom+json", b"{]", None),
    ],
)
def test_whatever_a_server_answers_is_told_as_its_fault(
    kind: bytes, body: bytes, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Odd, "answer", (kind, body))
    with HTTPServer(("127.0.0.1", 0), _Odd) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            base = f"dicomweb+http://127.0.0.1:{server.server_address[1]}"
            ask = partial(fetch_series, f"{base}/studies/1/series/2", tmp_path, max_bytes=GIB)
            with pytest.raises(UnavailableError, match=said):
                ask() if said else list(find_series(base))
        finally:
            server.shutdown()
            thread.join()


def test_only_dicomweb_addresses_are() -> None:
    assert is_dicomweb("dicomweb+https://pacs/x")
    assert not is_dicomweb("https://pacs/x")
    assert not is_dicomweb("dicomweb+ftp://pacs/x")


HOSTS = st.sampled_from(["archive.example", "archive.example:8443", "ARCHIVE.example"])


@given(host=st.sampled_from(["archive.example", "archive.example.evil.example", "evil.example", "xarchive.example", "127.0.0.1"]),
       scheme=st.sampled_from(["https", "http"]), port=st.sampled_from(["", ":443", ":8443", ":80"]),
       named=st.lists(HOSTS, max_size=2), user=st.sampled_from(["", "archive.example@", "archive.example:443@"]))  # fmt: skip
def test_the_token_goes_to_named_archives_alone(host: str, scheme: str, port: str, named: list[str], user: str) -> None:
    address = httpx.URL(f"{scheme}://{user}{host}{port}/studies/1?archive.example")
    shown = Credential("secret", tuple(named)).is_for(address)
    whole = any(name.lower() == "archive.example" for name in named)
    exact = "archive.example:8443" in named and port == ":8443"
    assert shown == (host == "archive.example" and scheme == "https" and (whole or exact))
    assert not Credential("", ("archive.example",)).is_for(address)
    assert "secret" not in repr(Credential("secret", tuple(named)))
