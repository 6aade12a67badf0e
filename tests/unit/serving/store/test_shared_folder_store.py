"""Two servers with disks of their own on one database and one object store."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from serving.isolation.decoders import Decoders
from serving.jobs.retention import make_reference_check, sweep_orphans
from serving.settings import ServerSettings, SettingsError
from serving.store.blob_folders import BlobFolders
from serving.store.blob_store import BlobStoreError
from serving.store.database import open_database
from serving.store.errors import NotFoundError
from serving.store.orphans import APART_S, OrphanTracker
from serving.store.places import list_kept_names
from serving.store.resumable import UploadElsewhereError, Uploads
from serving.store.shared_folder_store import SharedFolderStore
from serving.store.slides import SlideStore
from serving.store.tables import analyses, slides
from tests.fakes import tissue
from tests.samples import write_picture
from tests.unit.serving.store.test_slides import add, need, on_disk

Nodes = Callable[..., SlideStore]


@pytest.fixture
def node(tmp_path: Path, decoders: Decoders) -> Iterator[Nodes]:
    made: list[SlideStore] = []

    def make(name: str, **settings: Any) -> SlideStore:
        stated = ServerSettings(state=tmp_path / name, database=f"sqlite:///{tmp_path / 'shared.sqlite'}")
        stated = stated.model_copy(update={"objects": str(tmp_path / "objects"), **settings})
        made.append(SlideStore(open_database(stated), stated, decoders))
        made[-1].kept.start(made[-1].database)
        return made[-1]

    yield make
    for store in made:
        store.database.close()


def list_objects(store: SlideStore) -> BlobFolders:
    assert isinstance(store.kept, SharedFolderStore)
    return store.kept.objects


def names(store: SlideStore) -> set[str]:
    return {name for kind in ("slides", "results", "checkpoints") for name in list_objects(store).names(kind, str)}


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> Callable[[SlideStore], list[str]]:
    """Sweeps; each sweep is a day after the one before."""
    real, days = time.time, 0

    def sweep_next_day(store: SlideStore) -> list[str]:
        nonlocal days
        days += 1
        monkeypatch.setattr(time, "time", lambda: real() + days * APART_S)
        return store.kept.sweep(lambda: make_reference_check(store))

    return sweep_next_day


def test_a_slide_that_one_brought_is_read_by_the_other(node: Nodes, tmp_path: Path) -> None:
    a, b = node("a"), node("b")
    slide = add(a, tmp_path, 1)
    assert on_disk(a) == {slide.sha256}
    shutil.rmtree(tmp_path / "a")  # the disk may be lost
    with b.open(slide.sha256, name="x") as opened:
        assert (opened.width, opened.height) == (300, 300)
    with b.files.path(slide.sha256) as path:
        assert path is not None
        assert path.name == "slide.png"
    assert add(b, tmp_path, 1, owner="bob").sha256 == slide.sha256
    assert len(names(b)) == 2, "one file and what says that it is there"


def test_a_slide_goes_from_the_store_with_its_last_owner(node: Nodes, tmp_path: Path) -> None:
    a, b = node("a"), node("b")
    slide = add(a, tmp_path, 1)
    add(b, tmp_path, 1, owner="bob")
    a.remove(slide.sha256, owner="ann")
    assert names(a)
    b.remove(slide.sha256, owner="bob")
    assert names(a) == set()
    with pytest.raises(NotFoundError, match="upload it again"):
        a.open(slide.sha256, name="x")
    with a.files.path(slide.sha256) as path:
        assert path is None
    for store in (a, b):
        sweep_orphans(store, OrphanTracker(tmp_path / "strays.json"), 0.0)
    assert on_disk(a) == on_disk(b) == set()


def test_a_slide_that_is_removed_while_it_is_brought_is_stored_again(
    node: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = node("a"), node("b")
    slide = add(a, tmp_path, 1)
    real = b.database.writing

    def removed_first() -> Any:
        monkeypatch.setattr(b.database, "writing", real)
        a.remove(slide.sha256, owner="ann")
        return real()

    monkeypatch.setattr(b.database, "writing", removed_first)
    add(b, tmp_path, 1, owner="bob")
    shutil.rmtree(tmp_path / "b")
    with node("c").open(slide.sha256, name="x") as opened:
        assert opened.width == 300


def test_copies_go_when_room_is_needed_but_none_in_use(node: Nodes, tmp_path: Path) -> None:
    a = node("a")
    made = [add(a, tmp_path, n) for n in range(3)]
    b = node("b", cache_bytes=made[0].size * 2 + 50)
    with b.open(made[0].sha256, name="0"):
        b.open(made[1].sha256, name="1").close()
        b.open(made[2].sha256, name="2").close()
        assert on_disk(b) == {made[0].sha256, made[2].sha256}
        b.kept.make_room(made[0].size * 2)
        assert on_disk(b) == {made[0].sha256}
    b.kept.make_room(made[0].size * 2)
    assert on_disk(b) == set()
    assert not list((tmp_path / "b" / "cache" / "leaving").glob("*/*"))
    with b.open(made[1].sha256, name="1") as opened:
        assert opened.width == 300


def test_the_disk_keeps_its_room_by_going_without_copies(
    node: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = node("a", min_free_bytes=0)
    slide = add(a, tmp_path, 1)
    tight = node("a", min_free_bytes=2**60)
    with pytest.raises(OSError, match="No space"):
        tight.check_room(1)
    assert on_disk(a) == set()
    with a.open(slide.sha256, name="1") as opened:
        assert opened.width == 300


def test_what_two_looks_a_day_apart_find_left_over_and_unchanged_goes(
    node: Nodes, tmp_path: Path, swept: Callable[[SlideStore], list[str]]
) -> None:
    a = node("a")
    slide = add(a, tmp_path, 1)
    for shade in range(2, 6):
        add(a, tmp_path, shade)
    need(a, slide, state="running")  # its id is ann-<hash>: names of results begin with what is before the dash
    with a.database.writing() as tx:
        tx.execute(update(analyses).values(id="ann"))
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "x").write_text("x")
    for name in ("slides/0f/copy-late", "results/ann-7", "results/bob-3", "checkpoints/ann/k", "checkpoints/bob/k"):
        list_objects(a).put(folder, name)
    before = names(a)
    assert swept(a) == []
    list_objects(a).put_file(folder / "x", "checkpoints/bob/k2")
    assert sorted(swept(a)) == ["results/bob-3", "slides/0f/copy-late"]
    assert swept(a) == ["checkpoints/bob"], "somebody wrote to it between the first two"
    assert names(a) == {name for name in before if "bob" not in name and "late" not in name}
    with a.database.writing() as tx:
        tx.execute(update(analyses).values(state="succeeded", result="ann-8"))
    swept(a)
    assert sorted(swept(a)) == ["checkpoints/ann", "results/ann-7"], "the late result of a lost lease is no result"
    with a.open(slide.sha256, name="1") as opened:
        assert opened.width == 300


def test_objects_belong_to_one_database(node: Nodes, tmp_path: Path) -> None:
    node("a")
    node("b")
    with pytest.raises(SettingsError, match="another database"):
        node("c", database=f"sqlite:///{tmp_path / 'other.sqlite'}")


def test_what_was_kept_on_disk_is_taken_over(node: Nodes, tmp_path: Path) -> None:
    old = node("a", objects=None)
    slide = add(old, tmp_path, 1)
    new, other = node("a"), node("b")
    for _ in range(2):
        with new.database.reading() as tx:
            found = list_kept_names(tx)
        new.kept.adopt(tmp_path / "a", found)
    with other.open(slide.sha256, name="1") as opened:
        assert opened.width == 300
    assert on_disk(old) == {slide.sha256}
    other.remove(slide.sha256, owner="ann")
    assert names(other) == set()


def test_while_the_store_does_not_answer_slides_are_refused_and_forgotten_later(
    node: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swept: Callable[[SlideStore], list[str]]
) -> None:
    a = node("a")
    slide, other = add(a, tmp_path, 1), add(a, tmp_path, 3)

    with monkeypatch.context() as patched:
        for name in ("put", "remove", "read"):
            patched.setattr(BlobFolders, name, silent)
        with pytest.raises(BlobStoreError):
            add(a, tmp_path, 2)
        with pytest.raises(BlobStoreError):
            a.kept.check()
        a.remove(slide.sha256, owner="ann")
    a.kept.check()
    (tmp_path / "objects" / "database").unlink()
    with pytest.raises(BlobStoreError, match="not there any more"):
        a.kept.check()
    with a.database.reading() as tx:
        assert [row.sha256 for row in tx.execute(slides.select())] == [other.sha256]
    assert any(slide.sha256 in name for name in names(a))
    swept(a)
    assert swept(a)
    assert all(other.sha256 in name for name in names(a))


def test_a_copy_of_a_slide_is_used_by_others_while_one_lets_go(node: Nodes, tmp_path: Path) -> None:
    a = node("a")
    slide = add(a, tmp_path, 1)
    first, second = a.open(slide.sha256, name="1"), a.open(slide.sha256, name="1")
    handles = len(os.listdir("/proc/self/fd"))
    first.close()
    a.kept.make_room(2**62)
    assert on_disk(a) == {slide.sha256}
    second.close()
    a.kept.make_room(2**62)
    assert on_disk(a) == set()
    assert len(os.listdir("/proc/self/fd")) < handles


def test_an_upload_goes_on_where_it_began_and_outlives_a_store_that_is_away(
    node: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = node("a", min_free_bytes=0), node("b", min_free_bytes=0)
    here, there = (Uploads(store.database, store, store.settings) for store in (a, b))
    content = write_picture(tmp_path / "slide.png", tissue(300, 300)).read_bytes()
    upload = here.create(owner="ann", name="slide.png", length=len(content), metadata="")
    with pytest.raises(UploadElsewhereError, match="another server"):
        there.get(upload.id, owner="ann")
    with here.writing(upload) as part:
        part.write(content)
    with monkeypatch.context() as patched:
        patched.setattr(BlobFolders, "put", silent)
        with pytest.raises(BlobStoreError):
            here.finish(upload)
    stored = here.finish(here.get(upload.id, owner="ann"))
    assert there.get(upload.id, owner="ann").sha256 == stored.sha256
    with b.open(stored.sha256, name="1") as opened:
        assert opened.width == 300


def silent(*_: Any, **__: Any) -> None:
    raise BlobStoreError("no answer")
