"""Which licences of weights an operator allows."""

from collections.abc import Collection, Iterable

from serving.core.modelcard import ModelCard
from serving.registry.errors import VersionRefusedError

UNSTATED = "unstated"
"""Stands, in the setting, for cards that state no licence."""


def check_licences(cards: Iterable[ModelCard], allowed: Collection[str]) -> None:
    """Make sure that the licence of all weights is one of those allowed, whatever its letters' case; none allowed: any is.

    Raises
    ------
    VersionRefusedError
        If one is not; the message names it and the setting.
    """
    known = {name.casefold() for name in allowed}
    for card in cards if known else ():
        licence = card.licence or UNSTATED
        if licence.casefold() not in known:
            stated = f"is under {card.licence}" if card.licence else "states no licence"
            raise VersionRefusedError(
                f"{card.name}@{card.version} {stated}, and MITOSIS_ALLOWED_LICENCES allows {', '.join(allowed)}: add "
                f"{licence} there if its terms suit you, or serve another version"
            )
