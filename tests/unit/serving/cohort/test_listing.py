"""What a MANIFEST argument means."""

from pathlib import Path
from uuid import uuid4

import pytest

from serving.cohort.errors import CohortError, ManifestError, UnavailableError
from serving.cohort.listing import manifest_at
from serving.cohort.storage import find_blob, open_storage
from tests.dicom import write_dicom_slide
from tests.samples import noise


def sources(argument: str) -> list[str]:
    return [entry.source for entry in manifest_at(argument).entries]


FILES = (
    "a.svs", "b.TIF", "deep/c.ndpi", "label.jpg", "notes.txt", "a.truth.json", ".hidden.svs", ".cache/d.svs",
    "m.mrxs", "m/Slidedat.ini", "m/Data0001.tif", "series/1.dcm", "series/2.dcm",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "slides" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "slides"


def test_a_folder_is_searched_for_slides(folder: Path) -> None:
    expected = ["a.svs", "b.TIF", "deep/c.ndpi", "m.mrxs", "series"]
    assert sorted(sources(str(folder))) == [str(folder / name) for name in expected]


def test_dicom_slides_are_found_by_what_files_hold(tmp_path: Path) -> None:
    root = tmp_path / "slides"
    for name in ("a", "b"):
        write_dicom_slide(root / "one" / name, noise(300, 300), mpp=0.25, name=name)
        (root / "one" / name / "level-0.dcm").rename(root / "one" / name / "IM0001")
        (root / "two").mkdir(exist_ok=True)
        (root / "two" / f"{name}.1.2").write_bytes((root / "one" / name / "IM0001").read_bytes())
    (root / "notes").mkdir()
    (root / "notes" / "README").write_text("x" * 200)
    expected = ["one/a", "one/b", "two/a.1.2", "two/b.1.2"]
    assert sorted(sources(str(root))) == [str(root / name) for name in expected]
    bucket = f"memory:///{uuid4().hex}"
    store = open_storage(bucket)
    for path in root.rglob("*"):
        if path.is_file():
            store.put(str(path.relative_to(root)), path.read_bytes())
    assert sorted(sources(bucket)) == [f"{bucket}/{name}/" for name in ("one/a", "one/b", "two")]


def test_a_pattern_names_pictures_too(folder: Path) -> None:
    assert sources(f"{folder}/*.jpg") == [str(folder / "label.jpg")]
    assert sources(f"{folder}/**/*.ndpi") == [str(folder / "deep/c.ndpi")]


def test_a_file_is_a_manifest_beside_its_slides(folder: Path) -> None:
    (folder / "cohort.csv").write_text("slide\na.svs\n")
    assert sources(str(folder / "cohort.csv")) == [str(folder / "a.svs")]


@pytest.fixture
def bucket() -> str:
    root = f"memory:///{uuid4().hex}"
    store = open_storage(root)
    for name in FILES:
        store.put(name, b"x")
    store.put("cohort.csv", b"slide,case\nx y.svs,1\n")
    store.put("z odd %20#?.svs", b"x")
    return root


def test_a_bucket_is_searched_in_the_same_way(bucket: str) -> None:
    *found, odd = sorted(sources(bucket))
    assert found == [f"{bucket}/{name}" for name in ("a.svs", "b.TIF", "deep/c.ndpi", "m.mrxs")] + [f"{bucket}/series/"]
    store, name = find_blob(odd)
    assert store.get(name) == b"x"


def test_a_pattern_in_a_bucket(bucket: str) -> None:
    assert sources(f"{bucket}/deep/*.nd*") == [f"{bucket}/deep/c.ndpi"]


def test_a_manifest_in_a_bucket(bucket: str) -> None:
    assert sources(f"{bucket}/cohort.csv") == [f"{bucket}/x y.svs"]


def test_what_is_not_there_is_told(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(CohortError, match="there is no manifest, folder or pattern"):
        manifest_at(str(tmp_path / "none.csv"))
    with pytest.raises(CohortError, match="there are no slides in"):
        manifest_at(str(tmp_path))
    with pytest.raises(CohortError, match="there are no slides in"):
        manifest_at(f"{bucket}/nowhere")
    with pytest.raises(UnavailableError, match="cannot be had"):
        manifest_at("dicomweb+http://127.0.0.1:1/dicom-web")


def test_a_manifest_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"slide\n\xff\xfe")
    with pytest.raises(ManifestError, match="no text in UTF-8"):
        manifest_at(str(tmp_path / "a.csv"))
