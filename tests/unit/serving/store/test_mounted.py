from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.store.errors import NotFoundError, SlideChangedError, SlideRootError
from serving.store.mounted import check_unchanged, mounted_path, stamp_of
from serving.wsi.errors import UnsupportedFormatError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "study").mkdir(parents=True)
    (tmp_path / "root" / "study" / "a.svs").write_text("a")
    (tmp_path / "secret.svs").write_text("s")
    return tmp_path / "root"


def test_names_below_the_root_are_found(root: Path) -> None:
    assert mounted_path(root, "study/a.svs") == (root / "study" / "a.svs").resolve()
    assert mounted_path(root, "study/../study/a.svs").name == "a.svs"
    with pytest.raises(NotFoundError):
        mounted_path(root, "study/b.svs")
    with pytest.raises(SlideRootError, match="MITOSIS_SLIDE_ROOT"):
        mounted_path(None, "a.svs")


@pytest.mark.parametrize(
    "name", ["../secret.svs", "/etc/passwd", "study/../../secret.svs", ".", "", "a\\b", "a\0b", "link.svs"]
)
def test_names_that_lead_out_are_refused(root: Path, name: str) -> None:
    (root / "link.svs").symlink_to(root.parent / "secret.svs")
    with pytest.raises(SlideRootError):
        mounted_path(root, name)


def test_an_mrxs_slide_with_a_link_among_its_files_is_refused(root: Path) -> None:
    (root / "s.mrxs").write_text("x")
    (root / "s").mkdir()
    (root / "s" / "Slidedat.ini").write_text("[DATAFILE]\nFILE_0=Data0000.dat\n")
    (root / "s" / "Data0000.dat").symlink_to(root.parent / "secret.svs")
    with pytest.raises(SlideRootError, match="leads out"):
        mounted_path(root, "s.mrxs")


@given(
    name=st.text(max_size=30)
    | st.lists(st.sampled_from(["..", ".", "study", "a.svs", "", "~"]), max_size=8).map("/".join)
)
def test_whatever_the_name_nothing_outside_is_given(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    base = tmp_path_factory.mktemp("mounted")
    (base / "root" / "study").mkdir(parents=True)
    (base / "root" / "study" / "a.svs").write_text("a")
    try:
        found = mounted_path(base / "root", name)
    except (SlideRootError, NotFoundError, UnsupportedFormatError):
        return
    assert found.is_relative_to((base / "root").resolve())
    assert found.exists()


def test_a_change_is_noticed(root: Path) -> None:
    path = root / "study" / "a.svs"
    stamp = stamp_of(path)
    check_unchanged(path, stamp, "a.svs")
    path.write_text("ab")
    with pytest.raises(SlideChangedError, match=r"a\.svs"):
        check_unchanged(path, stamp, "a.svs")
    path.unlink()
    with pytest.raises(SlideChangedError):
        check_unchanged(path, stamp, "a.svs")
