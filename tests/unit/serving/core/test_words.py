"""Numbers with their noun, and options by the name that the reader knows them by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.words import as_options, format_count

OPTIONS = ("--mpp", "--min-tissue", "--roi", "--out", "SLIDE")


def test_one_is_singular_and_all_else_plural() -> None:
    assert [format_count(n, "mitotic figure") for n in (0, 1, 2)] == [
        "0 mitotic figures",
        "1 mitotic figure",
        "2 mitotic figures",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("give `mpp`, such as 0.25", "give --mpp, such as 0.25"),
        ("`min_tissue_fraction` is 7", "--min-tissue is 7"),
        ("`roi` 0,0,1,1 and `roi`", "--roi 0,0,1,1 and --roi"),
        ("`qc` exclude", "`qc` exclude"),
        ("`mpps` and mpp", "`mpps` and mpp"),
    ],
)
def test_names_become_options_where_the_command_has_them(text: str, said: str) -> None:
    assert as_options(text, OPTIONS) == said
    assert as_options(text, ()) == text


@given(text=st.text(), options=st.lists(st.text("-ab", max_size=5)))
def test_whatever_else_a_message_holds_stays(text: str, options: list[str]) -> None:
    if "`" not in text:
        assert as_options(text, options) == text
