"""Every route x every kind of caller, and the docs that say so."""

import pytest

from tests.integration.access_matrix import DOCUMENT, Line, documented, matrix

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return matrix()


def of(lines: list[Line], caller: str) -> dict[str, str]:
    return {f"{line.method} {line.template}": line.answers[caller] for line in lines}


def test_only_what_is_public_answers_strangers(lines: list[Line]) -> None:
    open_routes = {"get /", "get /livez", "get /readyz"}
    for caller in ("no key", "wrong key"):
        for route, answer in of(lines, caller).items():
            assert answer == ("yes" if route in open_routes else "who are you?"), (caller, route)


def test_a_read_key_changes_nothing(lines: list[Line]) -> None:
    for route, answer in of(lines, "read key").items():
        assert answer == "may not" if route.split()[0] not in ("get", "head") else answer != "may not", route


def test_owner_and_admin_are_let_in_everywhere(lines: list[Line]) -> None:
    for caller in ("owner's key", "admin key"):
        assert {a for a in of(lines, caller).values() if a != "yes"} == set()


def test_the_docs_show_this_table(lines: list[Line]) -> None:
    text = DOCUMENT.read_text()
    assert documented(text, lines) == text, "the access matrix changed; run `make access`"
