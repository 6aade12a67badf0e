import math

import pytest

from serving.core.errors import RequestError
from serving.core.profiles import load_profile, profile_names

# College of American Pathologists, breast protocol: field diameter in mm, most in ten fields for scores 1 and 2.
CAP = """.40 4/9, .41 4/9, .42 5/10, .43 5/10, .44 5/11, .45 5/11, .46 6/12, .47 6/12, .48 6/13, .49 6/13, .50 7/14, .51 7/14,
.52 7/15, .53 8/16, .54 8/16, .55 8/17, .56 8/17, .57 9/18, .58 9/19, .59 9/19, .60 10/20, .61 10/21, .62 11/22, .63 11/22,
.64 11/23, .65 12/24, .66 12/24, .67 12/25, .68 13/26, .69 13/27"""
ROWS = [(float(d), *map(int, most.split("/"))) for d, most in (row.split() for row in CAP.split(","))]


@pytest.mark.parametrize(("diameter", "first", "second"), ROWS)
def test_every_row_of_the_breast_table(diameter: float, first: int, second: int) -> None:
    profile, area = load_profile("breast-nottingham"), 10 * math.pi * (diameter / 2) ** 2
    found = {count: profile.component(count, area) for count in (0, first, first + 1, second, second + 1, 99)}
    assert [found[count].estimate for count in found] == ["score 1"] * 2 + ["score 2"] * 2 + ["score 3"] * 2
    assert found[first].field_diameter_mm == pytest.approx(diameter)
    assert (found[first].to_next, found[first].to_previous) == (1, None)
    assert (found[first + 1].to_next, found[first + 1].to_previous) == (second - first, 1)
    assert (found[second + 1].to_next, found[second + 1].to_previous) == (None, 1)
    assert "College of American Pathologists" in found[0].source


@pytest.mark.parametrize("area", [1.0, 1.22, 3.81, 5.0])
def test_an_area_beyond_the_table_has_no_estimate(area: float) -> None:
    found = load_profile("breast-nottingham").component(9, area)
    assert found.estimate is None
    assert found.reason is not None
    assert "1.26 to 3.74 mm²" in found.reason


@pytest.mark.parametrize(
    ("name", "area", "expected"),
    [
        ("gep-net", 2.0, {1: "below 2", 2: "2 to 20", 20: "2 to 20", 21: "above 20"}),
        ("gist", 5.0, {5: "5 or fewer", 6: "more than 5"}),
        ("canine-mast-cell", 2.37, {6: "below 7", 7: "7 or more"}),
    ],
)
def test_the_other_profiles_hold_for_their_area_only(name: str, area: float, expected: dict[int, str]) -> None:
    profile = load_profile(name)
    assert {count: profile.component(count, area).estimate for count in expected} == expected
    assert profile.component(9, area * 1.1).estimate is None


def test_every_profile_cites_its_source() -> None:
    assert len(profile_names()) == 4
    assert all(load_profile(name).source for name in profile_names())
    with pytest.raises(RequestError, match="gep-net"):
        load_profile("../x")
