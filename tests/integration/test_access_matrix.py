"""Every route x every kind of caller, and the docs that say so."""

import pytest

from serving.access.projects import ROLES
from tests.integration.access_matrix import DOCUMENT, MatrixLine, find_documented, matrix

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def lines() -> list[MatrixLine]:
    return matrix()


PAGES = {"get /", "get /viewer/{page}", "get /v1/analyses/{analysis_id}/view"}
"""Of the web viewer: the same for everybody, whatever an address names."""


LOGIN = {"get /v1/login", "post /v1/login/token"}
"""By which people get what they show elsewhere."""


def of(lines: list[MatrixLine], caller: str) -> dict[str, str]:
    return {f"{line.method} {line.template}": line.answers[caller] for line in lines}


def test_only_what_is_public_answers_strangers(lines: list[MatrixLine]) -> None:
    open_routes = PAGES | LOGIN | {"get /livez", "get /readyz"}
    for caller in ("no key", "wrong key"):
        for route, answer in of(lines, caller).items():
            assert answer == ("yes" if route in open_routes else "who are you?"), (caller, route)


def registry(route: str) -> bool:
    return "/v1/registry/" in route


def test_a_read_key_changes_nothing(lines: list[MatrixLine]) -> None:
    for route, answer in of(lines, "read key").items():
        changes = route.split()[0] not in ("get", "head") and route not in LOGIN
        assert (answer == "may not") == (registry(route) or changes), route


def test_what_serves_is_the_administrators_choice(lines: list[MatrixLine]) -> None:
    for caller in ("read key", "owner's key", "other owner's key", "admin key"):
        answers = {answer for route, answer in of(lines, caller).items() if registry(route)}
        assert answers == {"yes" if caller == "admin key" else "may not"}, caller


def test_owner_and_admin_are_let_in(lines: list[MatrixLine]) -> None:
    assert {answer for route, answer in of(lines, "owner's key").items() if not registry(route)} == {"yes"}
    # An administrator sees and removes what others own, but neither scores nor gives away their slides in its own name.
    # Nobody reads in somebody else's place.
    own_alone = {"post /v1/analyses", "post /v1/projects/{project_id}/slides"}
    own_alone |= {"get /v1/studies/{study_id}/reading", "put /v1/studies/{study_id}/reading/{analysis_id}"}
    assert {route for route, answer in of(lines, "admin key").items() if answer != "yes"} == own_alone


def test_what_belongs_to_others_is_not_there(lines: list[MatrixLine]) -> None:
    owned = {"{slide_id}", "{upload_id}", "{analysis_id}", "{project_id}", "{study_id}"}
    for route, answer in of(lines, "other owner's key").items():
        names_a_thing = any(name in route for name in owned) or route == "post /v1/analyses"
        names_a_thing &= route not in PAGES
        if registry(route):
            continue
        assert answer == ("not there" if names_a_thing else "yes"), route
    for route, answer in of(lines, "read key").items():
        if route.startswith("get") and route not in PAGES and any(name in route for name in owned):
            assert answer == "not there", route


def test_roles_in_a_project_allow_as_much_as_they_say(lines: list[MatrixLine]) -> None:
    reader, reviewer, manager = (of(lines, f"project's {role}") for role in ROLES)
    for route, answer in manager.items():
        assert answer == ("may not" if registry(route) else "yes"), route
    for route in manager:
        changes = route.split()[0] not in ("get", "head") and not registry(route)
        said = changes and ("/v1/analyses/{analysis_id}/" in route or "/v1/studies/{study_id}/" in route)
        free = route == "post /v1/projects" or route in LOGIN  # whoever makes a project is its manager
        assert (reader[route] == "may not") == ((changes and not free) or registry(route)), route
        assert (reviewer[route] == "may not") == ((changes and not said and not free) or registry(route)), route


def test_the_docs_show_this_table(lines: list[MatrixLine]) -> None:
    text = DOCUMENT.read_text()
    assert find_documented(text, lines) == text, "the access matrix changed; run `make access`"
