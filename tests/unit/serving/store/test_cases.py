import pytest

from serving.settings import ServerSettings
from serving.store.cases import find_case

DEFAULT = ServerSettings().case_pattern


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("TCGA-A2-A0T2-01Z-00-DX1.29A5C4C8.svs", "TCGA-A2-A0T2"),
        ("CASE-0012 block A.ndpi", "CASE-0012"),
        ("case_17_HE.tif", "case_17"),
        ("showcase-3.tif", ""),
        ("breast.svs", ""),
    ],
)
def test_the_case_is_found_in_names_of_slides(name: str, case: str) -> None:
    assert find_case(name, DEFAULT) == case


def test_a_pattern_of_ones_own_gives_its_first_group_or_all_of_it() -> None:
    assert find_case("H23-4411_2.svs", r"^(H\d\d-\d+)_\d") == "H23-4411"
    assert find_case("H23-4411_2.svs", r"^h\d\d-\d+") == "H23-4411"
    assert find_case("H23-4411_2.svs", r"(?!)") == ""
    assert find_case("H23.svs", r"H23(-\d+)?") == ""  # the group matched nothing
