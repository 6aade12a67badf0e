"""Resumable uploads by the rules of tus 1.0; the real client speaks to a real server in tests/e2e."""

import base64
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import LocalClient
from tests.services import field, kind, serving

pytestmark = pytest.mark.integration

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state", max_upload_bytes=5_000_000) as client:
        yield client


def named(name: str) -> str:
    return f"filename {base64.b64encode(name.encode()).decode()},odd"


def begin(client: LocalClient, length: int, name: str = "a.png") -> str:
    headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": named(name)}
    answer = client.post("/v1/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert "upload-expires" in answer.headers
    return str(answer.headers["location"])


def send(client: LocalClient, address: str, data: bytes, offset: int, **headers: str):  # type: ignore[no-untyped-def]
    return client.patch(address, content=data, headers={**PATCH, "Upload-Offset": str(offset), **headers})


def offset(client: LocalClient, address: str) -> int:
    answer = client.head(address, headers=TUS)
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


def test_an_upload_in_parts_becomes_a_slide(client: LocalClient, tmp_path: Path) -> None:
    content = field()
    address = begin(client, len(content))
    assert offset(client, address) == 0
    for start in range(0, len(content), 1000):
        answer = send(client, address, content[start : start + 1000], start)
        assert answer.status_code == 204, answer.text
        assert answer.headers["upload-offset"] == str(min(start + 1000, len(content)))
    sha256 = hashlib.sha256(content).hexdigest()
    assert answer.headers["mitoserve-slide"] == f"/v1/slides/{sha256}"
    assert client.get(f"/v1/slides/{sha256}").json()["name"] == "a.png"
    assert client.get(address).json() | {"expires_at": ""} == {
        "id": address.rsplit("/", 1)[1], "name": "a.png", "length": len(content), "offset": len(content),
        "expires_at": "", "slide": sha256,
    }  # fmt: skip
    assert list((tmp_path / "state" / "uploads").iterdir()) == []


def test_a_wrong_offset_changes_nothing(client: LocalClient) -> None:
    address = begin(client, 100)
    assert send(client, address, b"x" * 10, 0).status_code == 204
    for wrong in (0, 9, 11, 100):
        answer = send(client, address, b"y" * 10, wrong)
        assert (answer.status_code, kind(answer)) == (409, "offset-conflict")
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert offset(client, address) == 10
    assert kind(send(client, address, b"y" * 91, 10)) == "offset-conflict"
    assert offset(client, address) <= 100


@pytest.mark.parametrize("algorithm", ["sha1", "md5", "sha256"])
def test_a_part_with_a_wrong_checksum_is_forgotten(client: LocalClient, algorithm: str) -> None:
    address = begin(client, 100)
    digest = base64.b64encode(hashlib.new(algorithm, b"x" * 10).digest()).decode()
    wrong = send(client, address, b"z" * 10, 0, **{"Upload-Checksum": f"{algorithm} {digest}"})
    assert (wrong.status_code, kind(wrong)) == (460, "checksum-mismatch")
    assert offset(client, address) == 0
    right = send(client, address, b"x" * 10, 0, **{"Upload-Checksum": f"{algorithm} {digest}"})
    assert (right.status_code, offset(client, address)) == (204, 10)
    assert kind(send(client, address, b"x", 10, **{"Upload-Checksum": "crc32 AAAA"})) == "malformed-request"


def test_the_server_says_what_it_speaks(client: LocalClient) -> None:
    answer = client.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-max-size"] == "5000000"
    assert set(answer.headers["tus-extension"].split(",")) == {"creation", "checksum", "expiration", "termination"}
    assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")


def test_malformed_requests_are_refused(client: LocalClient) -> None:
    good = {**TUS, "Upload-Length": "10", "Upload-Metadata": named("a.png")}
    cases = [
        ({"Tus-Resumable": "0.2.2"}, 412, "tus-version"),
        ({"Upload-Length": "5000001"}, 413, "slide-too-large"),
        ({"Upload-Length": "9" * 30}, 413, "slide-too-large"),
        ({"Upload-Length": "-1"}, 400, "malformed-request"),
        ({"Upload-Length": "0"}, 400, "malformed-request"),
        ({"Upload-Length": ""}, 400, "malformed-request"),
        ({"Upload-Metadata": ""}, 400, "malformed-request"),
        ({"Upload-Metadata": "filename ?"}, 400, "malformed-request"),
        ({"Upload-Metadata": "x " * 3000}, 400, "malformed-request"),
    ]
    for changed, status, problem in cases:
        answer = client.post("/v1/uploads", headers={**good, **changed})
        assert (changed, answer.status_code, kind(answer)) == (changed, status, problem)
    address = begin(client, 10)
    assert kind(client.patch(address, content=b"x", headers={**TUS, "Upload-Offset": "0"})) == "unsupported-format"
    assert kind(client.patch(address, content=b"x", headers=PATCH)) == "malformed-request"
    assert kind(client.post(address, headers=TUS)) == "method-not-allowed"
    assert client.head("/v1/uploads/none", headers=TUS).status_code == 404


@pytest.mark.parametrize("name", ["S.mrxs", "S.VMS"])
def test_a_main_file_without_its_others_is_refused_before_it_is_sent(client: LocalClient, name: str) -> None:
    answer = client.post("/v1/uploads", headers={**TUS, "Upload-Length": "9", "Upload-Metadata": named(name)})
    assert (answer.status_code, kind(answer)) == (415, "unsupported-format")
    assert "zip -r slide.zip" in answer.json()["detail"]


def test_an_upload_can_be_ended(client: LocalClient, tmp_path: Path) -> None:
    address = begin(client, 100)
    send(client, address, b"x" * 10, 0)
    assert client.delete(address, headers=TUS).status_code == 204
    assert client.head(address, headers=TUS).status_code == 404
    assert list((tmp_path / "state" / "uploads").iterdir()) == []


def test_methods_may_be_overridden(client: LocalClient) -> None:
    address = begin(client, 100)
    patched = client.post(
        address, content=b"x" * 7, headers={**PATCH, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    )
    assert (patched.status_code, offset(client, address)) == (204, 7)
    assert client.post(address, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204


def test_an_upload_that_is_no_slide_says_so_and_goes(client: LocalClient, tmp_path: Path) -> None:
    address = begin(client, 5, "a.svs")
    answer = send(client, address, b"hello", 0)
    assert (answer.status_code, kind(answer)) == (415, "unsupported-format")
    assert client.head(address, headers=TUS).status_code == 404
    assert list((tmp_path / "state" / "uploads").iterdir()) == []


def test_an_upload_outlives_its_server_and_its_last_byte(tmp_path: Path) -> None:
    content = field()
    with serving(tmp_path / "state") as client:
        address = begin(client, len(content))
        send(client, address, content[:500], 0)
    part = tmp_path / "state" / "uploads" / address.rsplit("/", 1)[1] / "part"
    with part.open("ab") as handle:  # a server that died between the last byte and the slide
        handle.write(content[500:])
    with serving(tmp_path / "state") as client:
        head = client.head(address, headers=TUS)
        assert head.headers["upload-offset"] == str(len(content))
        assert head.headers["mitoserve-slide"] == f"/v1/slides/{hashlib.sha256(content).hexdigest()}"


def test_an_upload_expires(tmp_path: Path) -> None:
    with serving(tmp_path / "state", upload_expires_s=0.2) as client:
        address = begin(client, 100)
        time.sleep(0.3)  # the expiry is a time of the wall clock
        assert client.head(address, headers=TUS).status_code == 410
        assert kind(send(client, address, b"x", 0)) == "upload-gone"
