"""Archives over HTTP: as people and systems make them, damaged, and made to harm."""

import io
import lzma
import random
import resource
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from serving.slides.hashing import slide_sha256
from tests.archives import header
from tests.clients import LocalClient
from tests.dicom import write_dicom_slide
from tests.samples import noise, write_pyramid
from tests.services import kind, serving

pytestmark = pytest.mark.integration

MIB = 2**20
ROUTES = ("/v1/slides?filename=a.zip", "/v1/registry/versions", "/v1/score?filename=a.zip&mpp=0.25")


def zip_files(entries: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: ZipInfo itself would make / of \
            archive.writestr(info, content)
    return buffer.getvalue()


def tar_files(entries: dict[str, bytes], mode: str, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1.5
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def send(client: LocalClient, route: str, body: bytes) -> tuple[int, str]:
    """Status, and the kind of the problem where it is one."""
    answer = client.post(route, content=body, headers={"Content-Type": "application/octet-stream"})
    return answer.status_code, kind(answer) if answer.status_code >= 400 else ""


def test_archives_as_people_make_them_are_the_slide_that_they_hold(tmp_path: Path) -> None:
    dicom = write_dicom_slide(tmp_path / "dicom", noise(300, 300), mpp=0.25) / "level-0.dcm"
    tiff = write_pyramid(tmp_path / "a.tif", noise(300, 300))
    level, content = dicom.read_bytes(), tiff.read_bytes()
    archives = [
        (dicom, zip_files({"SER/IM0001.DCM": level})),
        (dicom, zip_files({"slide\\level-0.dcm": level, "slide\\annotations.xml": b"<a/>"})),
        (dicom, tar_files({"study/1.2.840.1": level, "study/._1.2.840.1": b"\0\5\x16\7"}, "w:gz")),
        (tiff, zip_files({"case/a.tif": content, "case/.DS_Store": b"x", "__MACOSX/case/._a.tif": b"y"})),
        (tiff, zip_files({"a.tif": content, "README.txt": b"hello"})),
        (tiff, tar_files({"1/2/3/4/5/6/a.tif": content, "1/2/3/4/5/6/a.tif:Zone.Identifier": b"x"}, "w")),
    ]
    with serving(tmp_path / "state", min_free_bytes=0) as client:
        for slide, body in archives:
            answer = client.post("/v1/slides?filename=a.zip", content=body)
            assert answer.status_code == 201, answer.text
            assert answer.json()["id"] == slide_sha256(slide)


def test_mutated_archives_are_taken_or_refused_and_nothing_else(tmp_path: Path) -> None:
    chance = random.Random(16)
    content = write_pyramid(tmp_path / "a.tif", noise(100, 80)).read_bytes()
    entries = {"folder/" + "n" * 120 + "é/a.tif": content, "folder/README": b"x"}
    whole = [
        zip_files(entries),
        zip_files(entries, compression=zipfile.ZIP_DEFLATED),
        *(tar_files(entries, mode) for mode in ("w", "w:gz", "w:bz2", "w:xz")),
        tar_files(entries, "w", tarfile.GNU_FORMAT),
    ]
    seen = Counter[str]()
    with serving(tmp_path / "state", min_free_bytes=0) as client:
        for number in range(42):
            body = bytearray(whole[number % len(whole)])
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(body)) if number % 2 else chance.randrange(600)
                body[at % len(body)] ^= 1 << chance.randrange(8)
            status, problem = send(
                client, ROUTES[number % 2], bytes(body[: chance.choice([len(body), len(body) - 700])])
            )
            assert status in (201, 400, 413, 415, 422, 503), (number, status, problem)
            assert (status, problem) in {(503, "model-unavailable")} or status != 503
            seen[problem] += 1
        assert client.get("/readyz").status_code == 200
    assert seen["bad-archive"] > 10


def test_bombs_cost_the_server_nothing(tmp_path: Path) -> None:
    packer = lzma.LZMACompressor(preset=0)
    body = b"".join([packer.compress(b"a" * MIB) for _ in range(400)]) + packer.flush()
    records = b"PK\1\2" + bytes(42)
    end = b"PK\5\6" + bytes(4) + b"\xff" * 4 + (len(records) * 400_000).to_bytes(4, "little") + b"\4\0\0\0" + b"\0\0"
    bombs = [
        lzma.compress(header(b"./pax", b"x", 400 * MIB)) + body,
        lzma.compress(header(b"././@LongLink", b"L", 400 * MIB)) + body,
        b"PK\3\4" + records * 400_000 + end,
    ]
    with serving(tmp_path / "state", min_free_bytes=0) as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for route in ROUTES:
            for bomb in bombs:
                assert send(client, route, bomb) == (422, "bad-archive")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024, "KiB"
        assert client.get("/readyz").status_code == 200
