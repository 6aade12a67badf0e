"""Blobs in a folder and in a bucket: the same, and each whole or not there."""

import os
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.store.blob_store import BlobStore, BlobStoreError, FolderBlobStore, fetch_blob
from serving.store.bucket_blob_store import BlobAddressError, BucketBlobStore, open_blob_store


@pytest.fixture(params=["folder", "memory", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """A folder, a bucket in this process's memory, which obstore has for tests, or one of a server."""
    if request.param == "folder":
        return FolderBlobStore(tmp_path / "blobs")
    address = request.getfixturevalue("bucket") if request.param == "bucket" else f"memory:///{uuid4().hex}"
    return BucketBlobStore(f"{address}/odd%20%23place/")


def names(blobs: BlobStore, folder: str = "") -> dict[str, int]:
    return {blob.name: blob.size for blob in blobs.list(folder)}


def test_what_is_put_is_got_and_listed(blobs: BlobStore, tmp_path: Path) -> None:
    assert blobs.get("reports/a.json.gz") is None
    assert blobs.head("reports/a.json.gz") is None
    assert names(blobs) == names(blobs, "reports") == {}
    before = time.time() - 2
    (tmp_path / "file").write_bytes(b"three")
    blobs.put("reports/a.json.gz", b"one")
    blobs.put("reports/b #%20.gz", tmp_path / "file")
    blobs.put("reports/deeper/c.json.gz", b"four")
    blobs.put("reports-2/d", b"")
    blobs.put("cohort.json", b"{}")
    blobs.put("reports/a.json.gz", b"two2")
    assert blobs.get("reports/a.json.gz") == b"two2"
    assert blobs.get("reports/b #%20.gz", length=2) == b"th"
    assert blobs.get("reports/b #%20.gz", length=200) == b"three"
    inside = {"reports/a.json.gz": 4, "reports/b #%20.gz": 5, "reports/deeper/c.json.gz": 4}
    assert names(blobs, "reports") == inside
    assert names(blobs) == {**inside, "reports-2/d": 0, "cohort.json": 2}
    found = blobs.head("reports/a.json.gz")
    assert found in list(blobs.list("reports"))
    assert found is not None
    assert before < found.modified < time.time() + 2
    for _ in range(2):
        blobs.delete("reports/a.json.gz")
    assert blobs.get("reports/a.json.gz") is None


NAMES = ("a", "b/c", "b/d e", "b/f/#%20é.json", "b-2/g", "h.json")
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.binary(max_size=20)), max_size=12)


@given(STEPS)
def test_whatever_is_written_and_removed_a_folder_holds_what_a_bucket_holds(
    steps: list[tuple[str, bytes | None]],
) -> None:
    held: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        stores = FolderBlobStore(Path(folder)), BucketBlobStore(f"memory:///{uuid4().hex}")
        for name, content in steps:
            for blobs in stores:
                blobs.delete(name) if content is None else blobs.put(name, content)
            held.pop(name, None)
            if content is not None:
                held[name] = content
        for blobs in stores:
            assert names(blobs) == {name: len(content) for name, content in held.items()}
            for below in ("b", "b/f", "b-2", "none"):
                assert names(blobs, below).keys() == {name for name in held if name.startswith(f"{below}/")}
            assert {name: blobs.get(name) for name in NAMES} == {name: held.get(name) for name in NAMES}


def test_a_blob_is_fetched_and_who_waits_no_longer_ends_it(blobs: BlobStore, tmp_path: Path) -> None:
    content = bytes(range(256)) * 70_000
    blobs.put("a", content)
    blobs.put("empty", b"")

    def going() -> None:
        raise KeyError("cancelled")

    with pytest.raises(KeyError):
        fetch_blob(blobs, "a", tmp_path / "cut", going)
    fetch_blob(blobs, "a", tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == content
    fetch_blob(blobs, "empty", tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""
    with pytest.raises(FileNotFoundError):
        fetch_blob(blobs, "none", tmp_path / "none")


def test_a_folder_is_there_with_its_last_file(blobs: BlobStore, tmp_path: Path) -> None:
    folder = tmp_path / "version"
    folder.mkdir()
    for name in ("a.json", "model.onnx"):
        (folder / name).write_bytes(name.encode())
    blobs.put_folder(folder, "det/1.0", last="a.json")
    assert names(blobs, "det") == {"det/1.0/a.json": 6, "det/1.0/model.onnx": 10}
    last, first = blobs.head("det/1.0/a.json"), blobs.head("det/1.0/model.onnx")
    assert last is not None
    assert first is not None
    assert isinstance(blobs, FolderBlobStore) or last.modified >= first.modified


def test_a_folder_on_a_disk_is_written_by_one(tmp_path: Path) -> None:
    blobs = FolderBlobStore(tmp_path / "blobs")
    for number in (1, 2):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "card").write_text(str(number))
    blobs.put_folder(tmp_path / "1", "det/1.0", last="card")
    with pytest.raises(FileExistsError):
        blobs.put_folder(tmp_path / "2", "det/1.0", last="card")
    assert blobs.get("det/1.0/card") == b"1"
    assert os.listdir(tmp_path / "blobs" / "det") == ["1.0"]


def test_an_address_says_which_it_is(tmp_path: Path) -> None:
    assert isinstance(open_blob_store(str(tmp_path)), FolderBlobStore)
    assert open_blob_store(f"file://{tmp_path}").address == str(tmp_path)
    assert open_blob_store(f"{tmp_path}").path("a/b") == tmp_path / "a" / "b"
    assert open_blob_store("memory:///x").path("a/b") is None
    assert open_blob_store("s3://bucket/x/").address == "s3://bucket/x"
    with pytest.raises(BlobAddressError, match="Unable to recognise URL"):
        open_blob_store("gopher://x/y")


def test_a_web_address_may_name_a_bucket() -> None:
    for address in ("https://s3.us-east-1.amazonaws.com/bucket/models", "https://example.com/slides"):
        assert open_blob_store(address).address == address


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FolderBlobStore(tmp_path)
    blobs.put("a", b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            blobs.put("a", b"new")
    with pytest.raises(BlobStoreError, match="cannot be written"):
        blobs.put("a", tmp_path / "none")
    assert blobs.get("a") == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_what_a_killed_writer_left_is_not_listed_and_goes_later(tmp_path: Path) -> None:
    blobs = FolderBlobStore(tmp_path)
    blobs.put("reports/a", b"1")
    part = tmp_path / "reports" / ".xyz.part"
    part.write_bytes(b"hal")
    assert set(names(blobs)) == {"reports/a"}
    assert part.exists()
    os.utime(part, (1, 1))
    assert set(names(blobs)) == {"reports/a"}
    assert not part.exists()


def test_a_folder_without_blobs_goes_while_others_write_to_it(tmp_path: Path) -> None:
    blobs = FolderBlobStore(tmp_path)
    failed: list[Exception] = []

    def write(own: str) -> None:
        try:
            for _ in range(200):
                blobs.put(f"a/b/{own}", b"x")
                blobs.delete(f"a/b/{own}")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fails_is_something_to_wait_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    blobs = FolderBlobStore(tmp_path)
    assert blobs.get("file/a") is None
    assert blobs.head("file/a") is None
    assert names(blobs, "file") == {}
    for ask in (blobs.get, blobs.head):
        with pytest.raises(BlobStoreError, match="cannot be read or written"):
            ask("loop/a")


def test_storage_that_does_not_answer_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = {"ENDPOINT_URL": "http://127.0.0.1:1", "ALLOW_HTTP": "true", "REGION": "us-east-1"}
    for name, value in {**stated, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    blobs = open_blob_store("s3://bucket/a")
    with pytest.raises(
        BlobStoreError, match=r"^the object store s3://bucket/a does not answer \(.*\); try again later$"
    ):
        blobs.put("a", b"")


def test_a_bucket_that_is_not_there_is_told(bucket: str) -> None:
    blobs = open_blob_store(f"{bucket.replace('//bucket', '//elsewhere')}")
    with pytest.raises(BlobStoreError, match="there is no bucket for s3://elsewhere"):
        blobs.put("a", b"")
    with pytest.raises(BlobStoreError, match="does not answer"):
        list(blobs.list())
    assert blobs.get("a") is None
