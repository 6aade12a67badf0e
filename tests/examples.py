"""How many examples a property test draws."""

from typing import Any

from hypothesis import settings

FULL, QUICK = 100, 20
"""Of a test that states no number, under each profile."""


def draw_examples(count: int, **stated: Any) -> settings:
    """`count` examples under the full profile, a fifth of them under the quick one.

    stated : what else `hypothesis.settings` is to hold
    """
    return settings(max_examples=-(-count * settings().max_examples // FULL), **stated)
