import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.errors import UnsupportedFormatError
from serving.store.errors import NotFoundError, SlideChangedError, SlideRootError
from serving.store.mounted import check_unchanged, find_mounted, make_stamp
from serving.store.slides import SlideStore
from tests.fakes import tissue
from tests.samples import write_picture


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "study").mkdir(parents=True)
    (tmp_path / "root" / "study" / "a.svs").write_text("a")
    (tmp_path / "secret.svs").write_text("s")
    return tmp_path / "root"


def test_names_below_the_root_are_found(root: Path) -> None:
    assert find_mounted(root, "study/a.svs") == (root / "study" / "a.svs").resolve()
    assert find_mounted(root, "study/../study/a.svs").name == "a.svs"
    with pytest.raises(NotFoundError):
        find_mounted(root, "study/b.svs")
    with pytest.raises(SlideRootError, match="MITOSIS_SLIDE_ROOT"):
        find_mounted(None, "a.svs")


@pytest.mark.parametrize(
    "name", ["../secret.svs", "/etc/passwd", "study/../../secret.svs", ".", "", "a\\b", "a\0b", "link.svs"]
)
def test_names_that_lead_out_are_refused(root: Path, name: str) -> None:
    (root / "link.svs").symlink_to(root.parent / "secret.svs")
    with pytest.raises(SlideRootError):
        find_mounted(root, name)


def test_an_mrxs_slide_with_a_link_among_its_files_is_refused(root: Path) -> None:
    (root / "s.mrxs").write_bytes(b"\xff\xd8\xff")
    (root / "s").mkdir()
    (root / "s" / "Slidedat.ini").write_text("[DATAFILE]\nFILE_0=Data0000.dat\n")
    (root / "s" / "Data0000.dat").symlink_to(root.parent / "secret.svs")
    with pytest.raises(SlideRootError, match="leads out"):
        find_mounted(root, "s.mrxs")


@given(
    name=st.text(max_size=30)
    | st.lists(st.sampled_from(["..", ".", "study", "a.svs", "", "~"]), max_size=8).map("/".join)
)
def test_whatever_the_name_nothing_outside_is_given(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    base = tmp_path_factory.mktemp("mounted")
    (base / "root" / "study").mkdir(parents=True)
    (base / "root" / "study" / "a.svs").write_text("a")
    try:
        found = find_mounted(base / "root", name)
    except (SlideRootError, NotFoundError, UnsupportedFormatError):
        return
    assert found.is_relative_to((base / "root").resolve())
    assert found.exists()


def test_a_change_is_noticed(root: Path) -> None:
    path = root / "study" / "a.svs"
    stamp = make_stamp(path)
    check_unchanged(path, stamp)
    path.write_text("ab")
    with pytest.raises(SlideChangedError, match="changed or removed"):
        check_unchanged(path, stamp)
    path.unlink()
    with pytest.raises(SlideChangedError):
        check_unchanged(path, stamp)


class Owners:
    """Owners who bring the same picture, as bytes or by its name in the server's folder, and let it go."""

    def __init__(self, store: SlideStore, folder: Path) -> None:
        self._store, self._folder, self._made = store, folder, 0

    def act(self, owner: str, what: str) -> dict[str, Any] | str:
        """What the owner is answered and sees afterwards; times and places in the list are left out."""
        try:
            if what == "mount":
                answer: Any = _see(self._store.mount("a.png", owner=owner))
            elif what == "bring":
                answer = _see(self._store.add(self._new(), "slide.png", owner=owner, name="a.png"))
            else:
                answer = self._remove_all(owner)
        except NotFoundError as error:
            return str(error)
        listed = [_see(slide) for slide in self._store.page(owner=owner, after=0, limit=9)]
        return {"answer": answer, "listed": listed, "bytes": self._store.used_bytes(owner)}

    def _remove_all(self, owner: str) -> int:
        slides = self._store.page(owner=owner, after=0, limit=9)
        for slide in slides:
            self._store.remove(slide.sha256, owner=owner)
        return len(slides)

    def _new(self) -> Path:
        self._made += 1
        folder = self._folder / str(self._made)
        folder.mkdir(parents=True)
        write_picture(folder / "slide.png", tissue(300, 300))
        return folder


def _see(slide: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(slide).items() if name not in ("created_at", "number")}


@pytest.fixture
def owners(make_store: Callable[..., SlideStore], root: Path) -> Callable[[str], Owners]:
    write_picture(root / "a.png", tissue(300, 300))
    return lambda name: Owners(make_store(slide_root=root, state=root.parent / name), root.parent / f"new-{name}")


def test_no_owner_sees_whether_another_has_the_slide(owners: Callable[[str], Owners]) -> None:
    """Whatever two owners do in turn, each is answered as if the other was not there."""
    turns = random.Random(7)
    together, alone = owners("together"), {name: owners(name) for name in ("ann", "bob")}
    first = [
        ("ann", "bring"),
        ("bob", "mount"),
        ("ann", "remove"),
        ("bob", "bring"),
        ("ann", "mount"),
        ("bob", "remove"),
    ]
    random_ones = [(turns.choice(["ann", "bob"]), turns.choice(["mount", "bring", "remove"])) for _ in range(12)]
    for owner, what in first + random_ones:
        assert together.act(owner, what) == alone[owner].act(owner, what), (owner, what)


def test_a_mounted_slide_counts_for_no_quota_until_its_owner_brings_it(
    owners: Callable[[str], Owners], root: Path
) -> None:
    together = owners("together")
    seen: list[Any] = [together.act("ann", what) for what in ("mount", "bring", "mount")]
    size = (root / "a.png").stat().st_size
    assert [(s["bytes"], s["listed"][0]["mounted"]) for s in seen] == [(0, True), (size, False), (size, False)]
