"""A slide whose stored bytes are not those of its id is not opened, and the next upload takes its place."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from serving.slides.hashing import slide_sha256
from serving.store import stamps
from serving.store.errors import NotFoundError, SlideChangedError, SlideDamagedError, SlideReplacedError
from serving.store.slide_rows import StoredSlide
from serving.store.slides import SlideStore
from serving.store.stamps import AGAIN_S
from tests.examples import draw_examples
from tests.fakes import tissue
from tests.samples import write_picture
from tests.unit.serving.store.test_shared_folder_store import Nodes, list_objects, node  # noqa: F401 - a fixture
from tests.unit.serving.store.test_slides import add, on_disk


def find_file(store: SlideStore, slide: StoredSlide) -> Path:
    (path,) = (store.folder / slide.sha256).rglob("slide.*")
    return path


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    bit %= 8 * len(content)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))


def opens(store: SlideStore, slide: StoredSlide) -> bool:
    with store.open(slide.sha256, name="a") as opened:
        return opened.width == 300


@draw_examples(8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 2**40), keep_times=st.booleans())
def test_any_changed_bit_is_noticed_and_the_next_upload_is_stored(
    store: SlideStore, tmp_path: Path, bit: int, keep_times: bool
) -> None:
    slide = add(store, tmp_path, 1)
    assert opens(store, slide)
    path = find_file(store, slide)
    before = path.stat()
    flip(path, bit)
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SlideDamagedError, match="upload the slide again"):
        opens(store, slide)
    with store.files.path(slide.sha256) as found:
        assert found is None
    assert add(store, tmp_path, 1).sha256 == slide.sha256
    assert opens(store, slide)


def test_what_is_lost_or_anothers_is_noticed_and_replaced(store: SlideStore, tmp_path: Path) -> None:
    slide, other = add(store, tmp_path, 1), add(store, tmp_path, 2)

    def remove_file() -> None:
        find_file(store, slide).unlink()

    def remove_folder() -> None:
        shutil.rmtree(store.folder / slide.sha256)

    def take_anothers() -> None:
        shutil.copy(find_file(store, other), find_file(store, slide))

    def cut() -> None:
        os.truncate(find_file(store, slide), 10)

    for damage in (remove_file, remove_folder, take_anothers, cut):
        damage()
        with pytest.raises(SlideDamagedError):
            opens(store, slide)
        with pytest.raises(SlideDamagedError):
            store.files.check_intact(slide.sha256)
        add(store, tmp_path, 1, owner="bob")
        assert opens(store, slide)
        store.files.check_intact(slide.sha256)
    assert on_disk(store) == {slide.sha256, other.sha256}


def test_bytes_that_were_damaged_and_replaced_while_a_slide_was_open_are_noticed(
    store: SlideStore, tmp_path: Path
) -> None:
    stored = add(store, tmp_path, 1)
    with store.files.at_hand(stored.sha256) as (_, look):
        store.files.check_intact(stored.sha256, since=look)
        flip(find_file(store, stored), 100)
        with pytest.raises(SlideDamagedError):
            store.files.check_intact(stored.sha256, since=look)
        add(store, tmp_path, 1, owner="bob")  # the upload takes the place of the damaged bytes
        store.files.check_intact(stored.sha256)
        with pytest.raises(SlideReplacedError):
            store.files.check_intact(stored.sha256, since=look)
    with store.files.at_hand(stored.sha256):
        store.files.check_intact(stored.sha256)


def test_a_slide_that_is_brought_again_undamaged_is_stored_once(store: SlideStore, tmp_path: Path) -> None:
    slide = add(store, tmp_path, 1)
    inode = find_file(store, slide).stat().st_ino
    add(store, tmp_path, 1, owner="bob")
    assert find_file(store, slide).stat().st_ino == inode


def test_a_slide_is_hashed_once_a_week(store: SlideStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slide, hashed = add(store, tmp_path, 1), []

    def counted(path: Path) -> str:
        hashed.append(path)
        return slide_sha256(path)

    monkeypatch.setattr("serving.store.stamps.slide_sha256", counted)
    for _ in range(3):
        assert opens(store, slide)
    assert len(hashed) == 1
    stamp = store.settings.state / "stamps" / slide.sha256
    flip(stamp, 3)  # a stamp that was changed is none
    assert opens(store, slide)
    assert len(hashed) == 2
    monkeypatch.setattr(stamps, "look_at", lambda _: "same")  # as where a disk loses a bit by itself
    assert opens(store, slide)
    flip(find_file(store, slide), 100)
    store.files.check_intact(slide.sha256)
    for shift in (AGAIN_S + 1, -10.0):  # later, and where the clock was set back
        monkeypatch.setattr(time, "time", lambda real=time.time, shift=shift: real() + shift)
        with pytest.raises(SlideDamagedError):
            store.files.check_intact(slide.sha256)
        monkeypatch.undo()
        monkeypatch.setattr(stamps, "look_at", lambda _: "same")


def test_a_damaged_copy_is_brought_again_and_what_is_damaged_in_the_bucket_is_replaced(
    node: Nodes,  # noqa: F811
    tmp_path: Path,
) -> None:
    a, b = node("a"), node("b")
    slide = add(a, tmp_path, 1)
    assert opens(b, slide)
    flip(find_file(b, slide), 777)
    assert opens(b, slide)
    (kept,) = (path for path in (tmp_path / "objects").rglob("000000"))
    flip(kept, 777)
    assert opens(a, slide), "its own copy is whole"
    flip(find_file(a, slide), 77)
    with pytest.raises(SlideDamagedError):
        opens(a, slide)
    add(b, tmp_path, 1, owner="bob")
    shutil.rmtree(a.folder)
    assert opens(a, slide)
    assert len(list((tmp_path / "objects" / "slides").rglob("000000"))) == 1, "the damaged copy is removed"


@pytest.mark.parametrize("bit", range(0, 500, 83))
def test_a_changed_list_of_files_in_the_bucket_gives_no_other_slide(
    node: Nodes,  # noqa: F811
    tmp_path: Path,
    bit: int,
) -> None:
    a, b = node("a"), node("b")
    slide = add(a, tmp_path, 1)
    (index,) = (tmp_path / "objects" / "slides").rglob("*.json")
    flip(index, bit)
    with contextlib.suppress(NotFoundError, SlideDamagedError):  # both say to upload it again
        assert opens(b, slide)
    add(b, tmp_path, 1, owner="bob")
    assert opens(b, slide)


def test_a_mounted_slide_with_other_bytes_and_the_same_times_is_refused(
    make_store: Callable[..., SlideStore], tmp_path: Path
) -> None:
    root = tmp_path / "mounted"
    root.mkdir()
    path = write_picture(root / "a.png", tissue(300, 300))
    store = make_store(slide_root=root)
    slide = store.mount("a.png", owner="ann")
    assert opens(store, slide)
    before = path.stat()
    flip(path, 8 * (before.st_size - 20))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SlideChangedError, match="register it again"):
        opens(store, slide)
