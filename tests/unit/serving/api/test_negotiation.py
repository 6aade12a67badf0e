import pytest

from serving.api.answers import choose
from serving.api.problems import NotAcceptableError

OFFERS = {"report": "application/json", "figures": "application/geo+json", "table": "text/csv", "map": "image/png"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "report"),
        ("*/*", "report"),
        ("application/*", "report"),
        ("application/json", "report"),
        ("Application/Geo+JSON", "figures"),
        ("text/csv; charset=utf-8", "table"),
        ("image/*", "map"),
        ("text/html,application/xhtml+xml,image/avif,*/*;q=0.8", "report"),
        ("text/csv;q=0.5, image/png;q=0.9", "map"),
        ("application/json;q=0, */*", "figures"),
        ("image/png;q=nonsense", "map"),
        ("image/png;q=nan, text/csv;q=0.1", "table"),
        (", ,text/csv", "table"),
    ],
)
def test_the_preferred_format_is_chosen(accept: str, expected: str) -> None:
    assert choose(accept, OFFERS) == expected


@pytest.mark.parametrize("accept", ["application/pdf", "image/png;q=0", "video/*", "json", "*/json"])
def test_nothing_acceptable_is_an_error_that_lists_the_offers(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match=r"application/geo\+json"):
        choose(accept, OFFERS)
