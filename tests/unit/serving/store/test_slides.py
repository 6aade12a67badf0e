import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from serving.store.errors import NotFoundError, SlideInUseError
from serving.store.retention import GRACE_S, sweep
from serving.store.slide_rows import StoredSlide
from serving.store.slides import SlideStore
from serving.store.tables import analyses, blobs, slides
from tests.fakes import tissue
from tests.samples import write_picture

DAY = 86400.0


def add(store: SlideStore, folder: Path, shade: int, *, owner: str = "ann", kept: bool = True) -> StoredSlide:
    """A small slide whose content depends on `shade` alone."""
    made = folder / f"new-{owner}-{shade}-{time.monotonic_ns()}"
    made.mkdir()
    pixels = tissue(300, 300)
    pixels[0, 0] = shade
    write_picture(made / "slide.png", pixels)
    return store.add(made, "slide.png", owner=owner, name=f"{shade}.png", kept=kept)


def need(store: SlideStore, slide: StoredSlide, *, owner: str = "ann", state: str = "queued") -> None:
    """An analysis of the slide."""
    values: dict[str, Any] = {
        "id": f"{owner}-{slide.sha256}",
        "owner": owner,
        "sha256": slide.sha256,
        "name": "",
        "options": "",
    }
    values |= {"request_key": "", "priority": 0, "state": state, "created_at": 0.0, "tiles_done": 0, "crashes": 0}
    with store.database.writing() as tx:
        tx.execute(insert(analyses).values(values | {"token": 0, "worker": "", "beat": 0}))


def on_disk(store: SlideStore) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


def test_two_owners_share_one_copy_and_see_only_their_own(store: SlideStore, tmp_path: Path) -> None:
    first, second = add(store, tmp_path, 1), add(store, tmp_path, 1, owner="bob")
    assert first.sha256 == second.sha256
    assert on_disk(store) == {first.sha256}
    other = add(store, tmp_path, 2, owner="bob")
    assert [s.sha256 for s in store.page(owner="ann", after=0, limit=10)] == [first.sha256]
    assert len(store.page(owner=None, after=0, limit=10)) == 3
    with pytest.raises(NotFoundError):
        store.get(other.sha256, owner="ann")
    assert store.used_bytes("bob") == second.size + other.size
    store.remove(first.sha256, owner="ann")
    assert store.get(first.sha256, owner="bob").name == "1.png"
    assert first.sha256 in on_disk(store)
    store.remove(first.sha256, owner="bob")
    assert on_disk(store) == {other.sha256}


def test_a_slide_that_is_needed_is_not_removed(store: SlideStore, tmp_path: Path) -> None:
    slide = add(store, tmp_path, 1)
    need(store, slide, state="running")
    with pytest.raises(SlideInUseError):
        store.remove(slide.sha256, owner="ann")
    assert on_disk(store) == {slide.sha256}


def test_what_a_server_left_that_died_before_its_commit_is_replaced(store: SlideStore, tmp_path: Path) -> None:
    slide = add(store, tmp_path, 1)
    store.remove(slide.sha256, owner="ann")
    (store.folder / slide.sha256).mkdir()
    (store.folder / slide.sha256 / "half").write_text("x")
    assert add(store, tmp_path, 1).sha256 == slide.sha256
    assert [p.name for p in (store.folder / slide.sha256).iterdir()] == ["slide.png"]


def test_old_slides_go_unless_they_are_needed(store: SlideStore, tmp_path: Path) -> None:
    old, needed, new = (add(store, tmp_path, n) for n in range(3))
    need(store, needed)
    with store.database.writing() as tx:
        tx.execute(update(blobs).where(blobs.c.sha256 != new.sha256).values(used_at=time.time() - 31 * DAY))
    assert sweep(store, time.time()) == [old.sha256]
    assert on_disk(store) == {needed.sha256, new.sha256}


def test_beyond_the_budget_the_longest_unused_go_unless_they_are_needed(
    make_store: Callable[..., SlideStore], tmp_path: Path
) -> None:
    store = make_store()
    made = [add(store, tmp_path, n) for n in range(5)]
    need(store, made[0])
    with store.database.writing() as tx:
        for age, slide in enumerate(reversed(made)):
            tx.execute(update(blobs).where(blobs.c.sha256 == slide.sha256).values(used_at=time.time() - age))
    tight = make_store(disk_budget_bytes=made[0].size * 3 + 50)
    assert sweep(tight, time.time()) == [made[1].sha256, made[2].sha256]
    assert on_disk(store) == {made[n].sha256 for n in (0, 3, 4)}
    nothing_fits = make_store(disk_budget_bytes=1)
    sweep(nothing_fits, time.time())
    assert on_disk(store) == {made[0].sha256}


def test_a_temporary_slide_has_a_while_to_get_its_analysis(store: SlideStore, tmp_path: Path) -> None:
    slide = add(store, tmp_path, 1, kept=False)
    assert sweep(store, time.time()) == []
    need(store, slide)
    assert sweep(store, time.time() + 2 * GRACE_S) == []
    with store.database.writing() as tx:
        tx.execute(update(analyses).values(state="failed"))
    assert sweep(store, time.time() + 2 * GRACE_S) == [slide.sha256]
    assert on_disk(store) == set()


def test_what_was_brought_for_good_stays(store: SlideStore, tmp_path: Path) -> None:
    add(store, tmp_path, 1, kept=False)
    kept = add(store, tmp_path, 1)
    add(store, tmp_path, 1, kept=False)
    assert sweep(store, time.time() + 2 * GRACE_S) == []
    assert on_disk(store) == {kept.sha256}


def test_what_a_server_left_that_died_while_it_removed_a_slide_goes(store: SlideStore, tmp_path: Path) -> None:
    slide = add(store, tmp_path, 1)
    (store.folder / f".gone-{slide.sha256}-1").mkdir()
    sweep(store, time.time())
    assert on_disk(store) == {slide.sha256}


def test_a_folder_whose_removal_was_undone_comes_back(store: SlideStore, tmp_path: Path) -> None:
    slide = add(store, tmp_path, 1)
    with pytest.raises(RuntimeError), store.database.writing() as tx:  # noqa: PT012 - the error comes after a change
        tx.execute(slides.delete())
        assert store.drop_unowned(tx, slide.sha256) is not None
        raise RuntimeError("the commit fails")
    assert slide.sha256 not in on_disk(store)
    sweep(store, time.time())
    assert on_disk(store) == {slide.sha256}
    with store.open(slide.sha256, name="a") as opened:
        assert opened.width == 300


def test_uploads_leave_room_for_analyses(make_store: Callable[..., SlideStore]) -> None:
    make_store(min_free_bytes=0).check_room(1)
    with pytest.raises(OSError, match="No space") as caught:
        make_store(min_free_bytes=2**60).check_room(1)
    assert caught.value.errno == errno.ENOSPC


def test_the_size_of_a_page_is_kept(store: SlideStore, tmp_path: Path) -> None:
    numbers = [add(store, tmp_path, n).number for n in range(4)]
    assert [s.number for s in store.page(owner="ann", after=numbers[0], limit=2)] == numbers[1:3]
    with store.database.reading() as tx:
        assert len(tx.execute(slides.select()).all()) == 4
