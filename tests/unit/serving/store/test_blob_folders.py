"""Folders in a blob store: whole or not there, on a disk and in a bucket alike."""

import json
from pathlib import Path

import pytest

from serving.settings import SettingsError
from serving.store.blob_folders import BlobFolders
from serving.store.blob_store import BlobStoreError


@pytest.fixture(params=["folder", "bucket"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> BlobFolders:
    return BlobFolders(request.getfixturevalue("bucket") if request.param == "bucket" else str(tmp_path / "objects"))


def going() -> None:
    pass


def make(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def list_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_back_as_it_was(objects: BlobFolders, tmp_path: Path) -> None:
    files = {
        "a #1%20é.mrxs": bytes(range(256)) * 50_000,
        "a #1%20é/Index.dat": b"x",
        "manifest.json": b"{}",
        "empty": b"",
    }
    objects.put(make(tmp_path / "a", files), "slides/0f/copy-1")
    objects.fetch("slides/0f/copy-1", tmp_path / "b", going=going)
    assert list_files(tmp_path / "b") == files
    assert objects.size("slides/0f/copy-1") == sum(map(len, files.values()))
    names = {path for found in objects.names("slides", str).values() for path, _ in found}
    assert not any("a #1" in name for name in names), "names of files are not for listings"
    objects.remove("slides/0f/copy-1")
    objects.remove("slides/0f/copy-1")
    assert objects.names("slides", str) == {}
    with pytest.raises(FileNotFoundError):
        objects.fetch("slides/0f/copy-1", tmp_path / "c", going=going)


def test_a_folder_that_is_not_whole_is_not_there(objects: BlobFolders, tmp_path: Path) -> None:
    objects.put_file(make(tmp_path / "a", {"x": b"half"}) / "x", "slides/0f/000000")
    with pytest.raises(FileNotFoundError):
        objects.size("slides/0f")
    objects.write("slides/0f.json", json.dumps({"files": [["x", 8]]}).encode())
    with pytest.raises(BlobStoreError, match="4 of 8 bytes"):
        objects.fetch("slides/0f", tmp_path / "b", going=going)


def test_files_are_brought_one_by_one_and_once(objects: BlobFolders, tmp_path: Path) -> None:
    folder = make(tmp_path / "a", {"000000.npz": b"0", "000001.npz": b"1"})
    for path in folder.iterdir():
        objects.put_file(path, f"checkpoints/ann/key/{path.name}")
    here = make(tmp_path / "b", {"000000.npz": b"mine"})
    objects.fetch_files("checkpoints/ann/key", here)
    assert list_files(here) == {"000000.npz": b"mine", "000001.npz": b"1"}
    objects.fetch_files("checkpoints/bob/key", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    objects.remove("checkpoints/ann")
    assert objects.names("checkpoints", str) == {}


def test_who_waits_no_longer_ends_a_fetch(objects: BlobFolders, tmp_path: Path) -> None:
    objects.put(make(tmp_path / "a", {"x": b"x"}), "slides/0f")

    def stop() -> None:
        raise KeyError("cancelled")

    with pytest.raises(KeyError):
        objects.fetch("slides/0f", tmp_path / "b", going=stop)


def test_names_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    objects = BlobFolders(str(tmp_path / "objects"))
    for number, name in enumerate(("../x", "/x", "a/../../x")):
        objects.write("slides/0f.json", json.dumps({"files": [[name, 1]]}).encode())
        with pytest.raises(BlobStoreError, match="leads elsewhere"):
            objects.fetch("slides/0f", tmp_path / str(number), going=going)


def test_a_store_that_does_not_answer_is_something_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:1", "ALLOW_HTTP": "true", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(BlobStoreError, match="does not answer"):
        BlobFolders("s3://bucket/a").read("x")


def test_an_address_that_cannot_be_used_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for address in ("nonsense://bucket", str(tmp_path / "file")):
        with pytest.raises(SettingsError, match="MITOSIS_OBJECTS"):
            BlobFolders(address)
