import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from serving.core.options import ScoringOptions
from serving.jobs.job import options_text, request_key
from serving.jobs.renumbering import renumber
from serving.jobs.table import JobTable, Submission
from serving.slides.hashing import slide_sha256
from serving.store.errors import NotFoundError, SlideChangedError
from serving.store.places import choose_place, list_kept_names
from serving.store.received_slides import store_received_file
from serving.store.shared_folder_store import SharedFolderStore
from serving.store.slide_rows import StoredSlide
from serving.store.slides import SlideStore
from serving.store.tables import analyses, blobs, former_slide_ids, slides
from tests.archives import make_zip
from tests.dicom import write_dicom_slide
from tests.samples import noise, write_picture


def former_id(files: list[Path]) -> str:
    """The id under the rule that this release replaces."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def two_levels(folder: Path) -> Path:
    """A DICOM slide of two files, with what Finder leaves beside them."""
    write_dicom_slide(folder, noise(600, 500), mpp=0.25, name="s").joinpath("level-0.dcm").rename(folder / "0.dcm")
    write_dicom_slide(folder, noise(300, 250), mpp=0.5, name="s").joinpath("level-0.dcm").rename(folder / "1.dcm")
    (folder / ".DS_Store").write_bytes(b"x")
    return folder


def as_before(store: SlideStore, made: Path) -> str:
    """A stored slide, its rows and one analysis as the release before left them; gives its id."""
    former = former_id(sorted(made.iterdir()))
    main = store.kept.new_copy() or "."
    if isinstance(store.kept, SharedFolderStore):
        store.kept.put(made, choose_place(former, main))
    else:
        shutil.copytree(made, store.folder / former)
    row = {
        "size": 1,
        "main": main,
        "mounted": False,
        "stamp": "",
        "width": 600,
        "height": 500,
        "mpp": 0.25,
        "vendor": "dicom",
    }
    with store.database.writing() as tx:
        tx.execute(insert(blobs).values({**row, "sha256": former, "used_at": 0.0, "id_rule": 1}))
        for owner in ("ann", "bob"):
            tx.execute(insert(slides).values(owner=owner, sha256=former, name="s", kept=True, created_at=0.0))
        options = options_text(ScoringOptions())
        values = {
            "owner": "ann",
            "sha256": former,
            "name": "s",
            "options": options,
            "priority": 0,
            "state": "succeeded",
        }
        values |= {"id": "a", "request_key": request_key(former, ScoringOptions()), "models_key": "m", "result": "a-1"}
        values |= {"created_at": 0.0, "tiles_done": 1, "crashes": 0, "token": 1, "worker": "", "beat": 0}
        tx.execute(insert(analyses).values(values))
    result = store.folder.parent / "results" / "a-1"  # a result of a former release has no checksums
    result.mkdir(parents=True)
    (result / "report.json").write_text("{}")
    return former


def bring(store: SlideStore, made: Path, *, owner: str) -> StoredSlide:
    """The same slide, brought to this release."""
    archive = make_zip(made.with_suffix(".zip"), {file.name: file.read_bytes() for file in made.iterdir()})
    return store_received_file(store, archive, owner=owner, name="s.zip", max_bytes=2**30)


def test_a_slide_of_the_former_rule_gets_its_new_id_and_keeps_the_old_one(store: SlideStore, tmp_path: Path) -> None:
    made = two_levels(tmp_path / "made")
    former = as_before(store, made)
    assert renumber(store) == 1
    slide = store.get(former, owner="ann")
    assert slide.sha256 == slide_sha256(made) != former
    assert [path.name for path in store.folder.iterdir()] == [slide.sha256]
    assert sorted(path.name for path in (store.folder / slide.sha256).iterdir()) == ["0.dcm", "1.dcm"]
    with store.open(slide.sha256, name="s") as opened:
        assert (opened.width, opened.height) == (600, 500)
    jobs = JobTable(store.database, store)
    assert [job.id for job in jobs.page(owner="ann", states=(), sha256=former, before=None, limit=9)] == ["a"]
    again, _ = jobs.submit(Submission("ann", former, ScoringOptions()), models_key="m")
    assert (again.sha256, again.state, again.result) == (slide.sha256, "succeeded", "a-1"), "the result is used again"
    assert bring(store, made, owner="eve").sha256 == slide.sha256
    assert renumber(store) == 0
    store.remove(former, owner="ann")
    with pytest.raises(NotFoundError):
        store.get(former, owner="ann")
    assert store.get(former, owner="bob").sha256 == slide.sha256


@pytest.mark.parametrize("objects", ["folder", "bucket"])
@pytest.mark.parametrize("again", [False, True], ids=["alone", "brought again meanwhile"])
def test_a_slide_in_an_object_store_gets_its_new_id_there(
    make_store: Callable[..., SlideStore], tmp_path: Path, request: pytest.FixtureRequest, objects: str, *, again: bool
) -> None:
    """One server renumbers; another, with a disk of its own, finds the slide under both ids."""
    place = tmp_path / "objects" if objects == "folder" else request.getfixturevalue("bucket")
    shared = {"objects": str(place), "database": f"sqlite:///{tmp_path / 'shared.sqlite'}"}
    first, second = (make_store(state=tmp_path / name, **shared) for name in ("first", "second"))
    for store in (first, second):
        store.kept.start(store.database)
    made = two_levels(tmp_path / "made")
    former = as_before(first, made)
    if again:
        bring(first, made, owner="ann")
    assert renumber(first) == 1
    assert renumber(second) == 0
    shutil.rmtree(tmp_path / "first")
    slide = second.get(former, owner="bob")
    assert slide.sha256 == slide_sha256(made) != former
    with second.open(slide.sha256, name="s") as opened:
        assert (opened.width, opened.height) == (600, 500)
    with second.files.path(slide.sha256) as path:
        assert path is not None
        assert sorted(file.name for file in path.parent.iterdir()) == ["0.dcm", "1.dcm"]
    assert isinstance(second.kept, SharedFolderStore)
    kept = list(second.kept.objects.names("slides", str))
    assert kept
    assert all(slide.sha256 in name for name in kept), "nothing is left under the former id"
    jobs = JobTable(second.database, second)
    assert [job.id for job in jobs.page(owner="ann", states=(), sha256=former, before=None, limit=9)] == ["a"]
    second.remove(former, owner="ann")
    second.remove(former, owner="bob")
    assert list(second.kept.objects.names("slides", str)) == []


@pytest.mark.parametrize("objects", ["folder", "bucket"])
def test_a_slide_that_the_object_store_has_lost_keeps_its_id_and_stops_no_start(
    make_store: Callable[..., SlideStore], tmp_path: Path, request: pytest.FixtureRequest, objects: str
) -> None:
    place = tmp_path / "objects" if objects == "folder" else request.getfixturevalue("bucket")
    store = make_store(objects=str(place))
    store.kept.start(store.database)
    former = as_before(store, two_levels(tmp_path / "made"))
    assert isinstance(store.kept, SharedFolderStore)
    with store.database.reading() as tx:
        for name in list_kept_names(tx):
            store.kept.remove(name)
    assert renumber(store) == 0
    assert store.get(former, owner="ann").sha256 == former


def test_a_slide_that_was_brought_again_meanwhile_is_one(store: SlideStore, tmp_path: Path) -> None:
    made = two_levels(tmp_path / "made")
    former = as_before(store, made)
    new = bring(store, made, owner="ann")
    assert new.sha256 != former
    assert renumber(store) == 1
    with store.database.reading() as tx:
        assert tx.execute(select(blobs.c.sha256)).scalars().all() == [new.sha256]
        assert sorted(tx.execute(select(slides.c.owner)).scalars()) == ["ann", "bob"]
        assert tx.execute(select(former_slide_ids.c.sha256)).scalars().all() == [new.sha256]


def test_a_slide_of_one_file_keeps_its_id(store: SlideStore, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    write_picture(tmp_path / "new" / "slide.png", noise(300, 300))
    slide = store.add(tmp_path / "new", "slide.png", owner="ann", name="a.png")
    with store.database.writing() as tx:
        tx.execute(update(blobs).values(id_rule=1))
    assert renumber(store) == 0
    with store.database.reading() as tx:
        assert tx.execute(select(blobs.c.id_rule)).scalars().all() == [2]
    assert store.get(slide.sha256, owner="ann") == slide


def test_a_mounted_slide_gets_its_new_id_where_it_is_unchanged(
    make_store: Callable[..., SlideStore], tmp_path: Path
) -> None:
    made = two_levels(tmp_path / "root" / "study")
    store = make_store(slide_root=tmp_path / "root")
    slide = store.mount("study", owner="ann")
    files = sorted(made.iterdir())
    states = [file.stat() for file in files]
    stamp = f"{len(files)}:{sum(s.st_size for s in states)}:{max(s.st_mtime_ns for s in states)}"
    former = former_id(files)
    with store.database.writing() as tx:
        tx.execute(update(blobs).values(sha256=former, stamp=stamp, id_rule=1))
        tx.execute(update(slides).values(sha256=former))
    assert renumber(store) == 1
    assert store.get(former, owner="ann").sha256 == slide.sha256
    (made / ".DS_Store").write_bytes(b"more of it")
    store.open(slide.sha256, name="s").close()
    (made / "1.dcm").write_bytes((made / "0.dcm").read_bytes())
    with pytest.raises(SlideChangedError):
        store.open(slide.sha256, name="s")


def test_a_slide_that_is_not_there_keeps_its_id_and_stops_no_start(store: SlideStore, tmp_path: Path) -> None:
    former = as_before(store, two_levels(tmp_path / "made"))
    for path in (store.folder / former).iterdir():
        path.unlink()
    assert renumber(store) == 0
    assert store.get(former, owner="ann").sha256 == former
