"""Slides as resources: brought, found, drawn, mounted, deleted, and kept while they are needed."""

import io
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.slides.hashing import slide_sha256
from tests.clients import LocalClient
from tests.fakes import DotDetector
from tests.limits import LONGEST_S
from tests.samples import noise, write_forged_tile, write_picture, write_pyramid
from tests.services import Blocking, bring, field, kind, serving, submit, wait_for_end

pytestmark = pytest.mark.integration


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path / "state", max_upload_bytes=5_000_000) as client:
        yield client


def store(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "state" / "slides").iterdir())


def test_the_same_slide_is_stored_once_whatever_way_it_comes(client: LocalClient, tmp_path: Path) -> None:
    content = field()
    by_form = client.post("/v1/slides", files={"slide": ("a.png", content)})
    by_body = client.post("/v1/slides?filename=b.png", content=content)
    by_put = client.put("/v1/slides?filename=c.png", content=content)
    assert [a.status_code for a in (by_form, by_body, by_put)] == [201, 201, 201]
    sha256 = by_form.json()["id"]
    (tmp_path / "same.png").write_bytes(content)
    assert sha256 == slide_sha256(tmp_path / "same.png") == by_body.json()["id"] == by_put.json()["id"]
    assert store(tmp_path) == [sha256]
    assert by_form.headers["location"] == f"/v1/slides/{sha256}"
    slide = client.get(f"/v1/slides/{sha256}").json()
    assert (slide["name"], slide["width"], slide["height"], slide["size"]) == ("c.png", 1000, 800, len(content))
    assert [s["id"] for s in client.get("/v1/slides").json()["slides"]] == [sha256]


def test_a_thumbnail_shows_the_slide(client: LocalClient) -> None:
    sha256 = bring(client, field(dots=()))
    answer = client.get(f"/v1/slides/{sha256}/thumbnail?max_side=100")
    assert answer.headers["content-type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (100, 80)
    assert all(abs(a - b) < 6 for a, b in zip(picture.getpixel((50, 40)), (225, 170, 205), strict=True))  # type: ignore[arg-type]
    assert kind(client.get(f"/v1/slides/{sha256}/thumbnail?max_side=1000000")) == "malformed-request"


def test_what_is_no_slide_is_not_stored(client: LocalClient, tmp_path: Path) -> None:
    write_pyramid(tmp_path / "whole.tif", noise(600, 500))
    cases = {
        "text.svs": (b"hello", "unsupported-format"),
        "empty.svs": (b"", "empty-upload"),
        "cut.tif": ((tmp_path / "whole.tif").read_bytes()[:5000], "unreadable-slide"),
        "alone.mrxs": (b"\xff\xd8\xff" + bytes(10), "unsupported-format"),
        "large.svs": (b"II*\0" + bytes(5_000_001), "slide-too-large"),
    }
    for name, (content, problem) in cases.items():
        assert (name, kind(client.post("/v1/slides", files={"slide": (name, content)}))) == (name, problem)
    assert store(tmp_path) == []
    assert list((tmp_path / "state" / "incoming").glob("server-*/*")) == []


def test_a_slide_that_kills_its_decoder_harms_nothing_else(tmp_path: Path) -> None:
    bomb = write_forged_tile(tmp_path / "forged.tif", noise(256, 256), tile=8192).read_bytes()
    with serving(tmp_path / "state", decoder_memory_bytes=300 * 2**20) as client:
        good = bring(client, field())
        answer = client.post("/v1/slides", files={"slide": ("forged.tif", bomb)})
        assert (answer.status_code, kind(answer)) == (422, "decoder-died")
        assert "2 times" in answer.json()["detail"]
        assert wait_for_end(client, submit(client, good)["id"])["state"] == "succeeded"


def test_lists_come_in_pages(client: LocalClient) -> None:
    ids = [bring(client, field(dots=(), seed=n)) for n in range(5)]
    seen, address = [], "/v1/slides?limit=2"
    while address:
        page = client.get(address).json()
        seen += [slide["id"] for slide in page["slides"]]
        address = page["next"]
    assert seen == ids
    assert kind(client.get("/v1/slides?limit=0")) == "malformed-request"


def test_a_needed_slide_stays_and_a_deleted_one_goes(tmp_path: Path) -> None:
    detector = Blocking()
    with serving(tmp_path / "state", lambda: detector) as client:
        sha256 = bring(client, field())
        analysis = submit(client, sha256)["id"]
        assert detector.entered.wait(LONGEST_S)
        answer = client.delete(f"/v1/slides/{sha256}")
        assert (answer.status_code, kind(answer)) == (409, "slide-in-use")
        detector.released.set()
        assert wait_for_end(client, analysis)["state"] == "succeeded"
        assert client.delete(f"/v1/slides/{sha256}").status_code == 204
        assert store(tmp_path) == []
        assert kind(client.get(f"/v1/slides/{sha256}")) == "not-found"
        assert kind(client.post("/v1/analyses", json={"slide": sha256})) == "not-found"
        assert client.get(f"/v1/analyses/{analysis}/report").status_code == 200


def zip_files(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_an_archive_of_a_slide_is_unpacked(client: LocalClient, tmp_path: Path) -> None:
    content = field()
    (tmp_path / "inner.png").write_bytes(content)
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w:gz") as archive:
        archive.add(tmp_path / "inner.png", "folder/inner.png")
    for name, packed in (("a.zip", zip_files({"inner.png": content})), ("a.tar.gz", tarred.getvalue())):
        answer = client.post("/v1/slides", files={"slide": (name, packed)})
        assert answer.status_code == 201, answer.text
        assert (answer.json()["name"], answer.json()["width"]) == ("inner.png", 1000)
        assert answer.json()["id"] == slide_sha256(tmp_path / "inner.png")
    for bad in (
        zip_files({"../x.png": content}),
        zip_files({"a.png": content, "b.png": content}),
        b"PK\x03\x04" + bytes(50),
    ):
        answer = client.post("/v1/slides", files={"slide": ("bad.zip", bad)})
        assert (answer.status_code, kind(answer)) == (422, "bad-archive")
    assert len(store(tmp_path)) == 1


def test_a_mounted_slide_is_analysed_where_it_lies(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "study").mkdir(parents=True)
    slide = write_pyramid(root / "study" / "a.tif", noise(900, 700))
    (tmp_path / "secret.tif").write_bytes(slide.read_bytes())
    (root / "out.tif").symlink_to(tmp_path / "secret.tif")
    (root / "in.tif").symlink_to(slide)
    with serving(tmp_path / "state", slide_root=root) as client:
        answer = client.post("/v1/slides", json={"path": "study/a.tif"})
        assert answer.status_code == 201, answer.text
        sha256 = answer.json()["id"]
        assert (answer.json()["mounted"], answer.json()["size"], sha256) == (True, 0, slide_sha256(slide))
        assert client.post("/v1/slides", json={"path": "in.tif"}).json()["id"] == sha256
        for path in ("../secret.tif", "out.tif", "/etc/passwd", "study/../../secret.tif", "."):
            answer = client.post("/v1/slides", json={"path": path})
            assert (path, answer.status_code) == (path, 422)
            assert str(tmp_path) not in answer.text
        assert kind(client.post("/v1/slides", json={"path": "study/none.tif"})) == "not-found"
        assert kind(client.post("/v1/slides", json={"file": 1})) == "malformed-request"
        assert wait_for_end(client, submit(client, sha256)["id"])["state"] == "succeeded"
        os.utime(slide, (1, 1))
        changed = wait_for_end(client, submit(client, sha256, options={"threshold": 0.9})["id"])
        assert (changed["state"], changed["problem"]) == ("failed", "urn:mitoserve:problem:slide-changed")
        assert client.delete(f"/v1/slides/{sha256}").status_code == 204
    assert slide.exists()
    assert store(tmp_path) == []


def test_a_server_without_a_mounted_folder_says_so(client: LocalClient) -> None:
    assert kind(client.post("/v1/slides", json={"path": "a.tif"})) == "not-mounted"


def test_slides_outlive_their_server(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as client:
        sha256 = bring(client, field())
    with serving(tmp_path / "state", DotDetector) as client:
        assert client.get(f"/v1/slides/{sha256}").json()["width"] == 1000
        assert wait_for_end(client, submit(client, sha256)["id"])["state"] == "succeeded"


def test_mutated_slides_are_stored_or_refused_and_nothing_else(tmp_path: Path) -> None:
    """Flipped bytes, cut ends and swapped parts of a TIFF, a PNG and a JPEG."""
    rng = np.random.default_rng(9)
    pixels = noise(400, 300)
    whole = [
        write_pyramid(tmp_path / "a.tif", pixels, compression="jpeg").read_bytes(),
        write_picture(tmp_path / "a.png", pixels).read_bytes(),
        write_picture(tmp_path / "a.jpg", pixels).read_bytes(),
    ]
    statuses = Counter[int]()
    with serving(tmp_path / "state", min_free_bytes=0) as client:
        for number in range(60):
            data = bytearray(whole[number % 3])
            for at in rng.integers(0, min(len(data), 4096 if number % 2 else len(data)), 1 + number % 5):
                data[at] = rng.integers(256)
            if number % 7 == 0:
                del data[int(rng.integers(1, len(data))) :]
            answer = client.post("/v1/slides", files={"slide": (f"a{number}.tif", bytes(data))})
            statuses[answer.status_code] += 1
            assert answer.status_code in (201, 413, 415, 422), answer.text
        assert client.get("/readyz").status_code == 200
        assert len(store(tmp_path)) == len(client.get("/v1/slides?limit=200").json()["slides"])
    assert statuses[201] > 0
    assert statuses[422] > 0
