"""Results in a folder and in a bucket: the same, and each object whole or not there."""

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from serving.cohort.errors import CohortError, UnavailableError
from serving.cohort.results import BucketResultStore, FolderResultStore, ResultStore, open_result_store


@pytest.fixture(params=["folder", "bucket"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> ResultStore:
    """A folder, or a bucket in this process's memory, which obstore has for tests."""
    return FolderResultStore(tmp_path) if request.param == "folder" else BucketResultStore(f"memory:///{uuid4().hex}")


def test_what_is_put_is_got_and_listed(results: ResultStore) -> None:
    assert results.get("reports/a.json.gz") is None
    assert results.list("reports") == {}
    before = time.time() - 2
    results.put("reports/a.json.gz", b"one")
    results.put("reports/b.json.gz", b"three")
    results.put("reports/deeper/c.json.gz", b"four")
    results.put("cohort.json", b"{}")
    results.put("reports/a.json.gz", b"two2")
    assert results.get("reports/a.json.gz") == b"two2"
    found = results.list("reports")
    assert {name: stored.size for name, stored in found.items()} == {"a.json.gz": 4, "b.json.gz": 5}
    assert all(before < stored.modified < time.time() + 2 for stored in found.values())
    results.delete("reports/a.json.gz")
    results.delete("reports/a.json.gz")
    assert results.get("reports/a.json.gz") is None


def test_an_address_says_which_it_is(tmp_path: Path) -> None:
    assert isinstance(open_result_store(str(tmp_path)), FolderResultStore)
    assert open_result_store(f"file://{tmp_path}").address == str(tmp_path)
    assert isinstance(open_result_store("memory:///x"), BucketResultStore)
    with pytest.raises(CohortError, match="no storage that can be read"):
        open_result_store("gopher://x/y")


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = FolderResultStore(tmp_path)
    results.put("a", b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        results.put("a", b"new")
    assert results.get("a") == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_what_a_killed_writer_left_is_not_listed_and_goes_later(tmp_path: Path) -> None:
    results = FolderResultStore(tmp_path)
    results.put("reports/a", b"1")
    part = tmp_path / "reports" / ".xyz.part"
    part.write_bytes(b"hal")
    assert set(results.list("reports")) == {"a"}
    assert part.exists()
    os.utime(part, (1, 1))
    assert set(results.list("reports")) == {"a"}
    assert not part.exists()


def test_storage_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    results = BucketResultStore(f"memory:///{uuid4().hex}")

    class Broken:
        def put(self, *_: object, **__: object) -> None:
            from obstore.exceptions import GenericError  # noqa: PLC0415

            raise GenericError("Generic S3 error: connection refused\n\nDebug source: pages of it")

    monkeypatch.setattr("serving.cohort.results.open_bucket", lambda _: (Broken(), "key"))
    with pytest.raises(UnavailableError, match=r"results cannot be kept or read: .*connection refused$"):
        results.put("a", b"")
