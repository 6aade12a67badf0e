import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.errors import RequestError
from serving.store.received_slides import NAME_LENGTH, find_suffix, safe_name


@given(st.text(max_size=500))
def test_a_name_is_one_printable_component(stated: str) -> None:
    try:
        name = safe_name(stated)
    except RequestError:
        return
    assert name
    assert name.isprintable()
    assert not set(name) & set("/\\\0")
    assert not name.startswith(".")
    assert len(name) <= NAME_LENGTH


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ("a.svs", "a.svs"),
        ("../../x.svs", "x.svs"),
        ("C:\\b\\c.ndpi", "c.ndpi"),
        ("Präparat 1.ome.tif", "Präparat 1.ome.tif"),
    ],
)
def test_folders_are_dropped(stated: str, name: str) -> None:
    assert safe_name(stated) == name


def test_a_long_name_keeps_its_suffix() -> None:
    assert safe_name("x" * 400 + ".ome.tif").endswith("x.ome.tif")
    assert find_suffix("a.OME.TIF") == ".ome.tif"
    assert find_suffix("noname") == ""
