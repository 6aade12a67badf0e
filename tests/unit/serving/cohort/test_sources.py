"""Slides at hand: paths as they are, all else fetched, ahead of time where it is announced, and removed again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from serving.cohort.errors import MissingSlideError, UnavailableError
from serving.cohort.scratch import PREFIX, scratch
from serving.cohort.sources import UNKNOWN, Sources, stat_sources
from serving.cohort.storage import open_storage
from serving.core.errors import SlideTooLargeError
from tests.services import until


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    (tmp_path / "scratch").mkdir()
    made = Sources(tmp_path / "scratch", max_bytes=10_000)
    yield made
    made.close()
    assert not any((tmp_path / "scratch").iterdir())


@pytest.fixture
def bucket() -> str:
    root = f"memory:///{uuid4().hex}"
    store = open_storage(root)
    for name in ("a.svs", "b.svs", "m.mrxs", "m/Slidedat.ini", "m/Data0.dat", "series/1.dcm", "series/2.dcm"):
        store.put(name, name.encode() * 10)
    store.put("large.svs", bytes(10_001))
    return root


def test_a_path_stays_where_it_is(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"x")
    with sources.at_hand(str(tmp_path / "a.svs")) as path:
        assert path == tmp_path / "a.svs"
    assert path.exists()
    with pytest.raises(MissingSlideError, match="there is no file"), sources.at_hand("/nowhere/a.svs"):
        pass


def test_an_object_is_fetched_and_removed(sources: Sources, bucket: str) -> None:
    with sources.at_hand(f"{bucket}/a.svs") as path:
        assert path.name == "a.svs"
        assert path.read_bytes() == b"a.svs" * 10
    assert not path.parent.exists()
    with pytest.raises(MissingSlideError, match="there is no object"), sources.at_hand(f"{bucket}/none.svs"):
        pass


def test_slides_of_several_objects_arrive_together(sources: Sources, bucket: str) -> None:
    with sources.at_hand(f"{bucket}/m.mrxs") as path:
        assert sorted(os.listdir(path.parent)) == ["m", "m.mrxs"]
        assert sorted(os.listdir(path.parent / "m")) == ["Data0.dat", "Slidedat.ini"]
    with sources.at_hand(f"{bucket}/series/") as path:
        assert sorted(os.listdir(path)) == ["1.dcm", "2.dcm"]
    with pytest.raises(MissingSlideError, match="no objects below"), sources.at_hand(f"{bucket}/empty/"):
        pass


def test_a_slide_has_a_most(sources: Sources, bucket: str) -> None:
    with pytest.raises(SlideTooLargeError, match="MITOSIS_MAX_UPLOAD_BYTES"), sources.at_hand(f"{bucket}/large.svs"):
        pass


def test_what_is_expected_is_there_when_it_is_asked_for(sources: Sources, bucket: str, tmp_path: Path) -> None:
    sources.expect(f"{bucket}/a.svs")
    until(lambda: [path.read_bytes() for path in (tmp_path / "scratch").glob("*/a.svs")] == [b"a.svs" * 10])
    open_storage(bucket).delete("a.svs")
    with sources.at_hand(f"{bucket}/a.svs") as path:
        assert path.read_bytes() == b"a.svs" * 10


def test_what_was_expected_in_vain_goes(sources: Sources, bucket: str) -> None:
    sources.expect(f"{bucket}/a.svs")
    sources.expect(f"{bucket}/b.svs")
    with sources.at_hand(f"{bucket}/m.mrxs"):
        pass
    sources.expect(f"{bucket}/none.svs")
    with pytest.raises(MissingSlideError), sources.at_hand(f"{bucket}/none.svs"):
        pass


def test_size_and_time_are_asked_for_before(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"123")
    os.utime(tmp_path / "a.svs", (1000, 1000))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1").write_bytes(b"II*\0x")
    path, folder, missing, thing, prefix, none, web = stat_sources(
        [
            str(tmp_path / "a.svs"),
            str(tmp_path / "d"),
            "/nowhere/a.svs",
            f"{bucket}/a.svs",
            f"{bucket}/series/",
            f"{bucket}/none",
            "dicomweb+https://pacs/studies/1/series/2",
        ]
    )
    assert (path.size, path.modified) == (3, 1000)
    assert folder.size == 5
    assert missing == none == web == UNKNOWN
    assert thing.size == 50
    assert thing.modified is not None
    assert prefix.size == 240


def test_storage_that_cannot_be_reached_is_told(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "serving.cohort.sources.fetch", lambda *_, **__: (_ for _ in ()).throw(UnavailableError("no answer"))
    )
    with pytest.raises(UnavailableError), sources.at_hand("s3://bucket/a.svs"):
        pass


LEAVES = """
import os, signal, sys
from pathlib import Path
from serving.cohort.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "slide").write_bytes(b"x")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_goes_with_its_process_or_with_the_next(tmp_path: Path) -> None:
    with scratch(tmp_path) as folder:
        (folder / "slide").write_bytes(b"x")
        with scratch(tmp_path):
            assert folder.exists()
    assert not any(tmp_path.iterdir())
    killed = subprocess.run(
        [sys.executable, "-c", LEAVES, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False
    )
    left = Path(killed.stdout.strip())
    assert left.name.startswith(PREFIX)
    assert (left / "slide").exists()
    with scratch(tmp_path):
        assert not left.exists()
