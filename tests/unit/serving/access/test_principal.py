import itertools

import pytest

from serving.access.principal import SCOPES, Principal, Scope


@pytest.mark.parametrize(("held", "wanted"), list(itertools.product(SCOPES, SCOPES)))
def test_a_scope_includes_those_before_it(held: Scope, wanted: Scope) -> None:
    principal = Principal("key:a", frozenset({held}))
    assert principal.may(wanted) == (SCOPES.index(wanted) <= SCOPES.index(held))


def test_without_scopes_nothing_is_allowed() -> None:
    assert not any(Principal("key:a", frozenset()).may(scope) for scope in SCOPES)
