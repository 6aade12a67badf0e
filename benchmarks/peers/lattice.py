"""The windows that every tool must score: those of 250 px at stride 125 inside one square of a slide."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WINDOW_PX, STRIDE_PX = 250, 125
TILE_PX = 1000
"""Side of a tile of ours: squares are so many tiles and the apron around them, and no tool computes more than it is asked."""
RIM_PX = 5
"""Glass around the tissue inside the square. A tool that keeps windows by their middle then has none in doubt."""

Origin = tuple[int, int]
"""(x, y) of a window's top left corner, level-0 px."""
Scores = Mapping[Origin, float]


class UnequalError(Exception):
    """Tools did not do the same, so their times cannot be compared."""


@dataclass(frozen=True, slots=True)
class Square:
    """The part of a slide that holds tissue: `tiles` x `tiles` tiles of ours and what their outermost windows reach."""

    tiles: int

    @property
    def first(self) -> int:
        """Left and upper edge of the first window, level-0 px."""
        return TILE_PX - STRIDE_PX

    @property
    def last(self) -> int:
        """Right and lower edge of the last window."""
        return TILE_PX * (1 + self.tiles) + STRIDE_PX

    @property
    def slide_px(self) -> int:
        """Side of the slide: one tile of glass all around."""
        return TILE_PX * (2 + self.tiles)

    def origins(self) -> set[Origin]:
        """Every window."""
        steps = range(self.first, self.last - WINDOW_PX + 1, STRIDE_PX)
        return {(x, y) for x in steps for y in steps}


def check_windows(tool: str, scored: Iterable[Origin], asked: set[Origin]) -> None:
    """Make sure that a tool scored what it was asked to, and each window once.

    Raises
    ------
    UnequalError
        If a window is missing, twice there or another one; the message counts them.
    """
    found = list(scored)
    missing, foreign, twice = len(asked - set(found)), len(set(found) - asked), len(found) - len(set(found))
    if missing or foreign or twice:
        raise UnequalError(
            f"{tool} scored {len(found)} windows where {len(asked)} were asked: "
            f"{missing} missing, {foreign} others, {twice} twice"
        )


def largest_difference(scores: Scores, reference: Scores) -> float:
    """Between the scores of two tools on the same windows."""
    return max(abs(scores[origin] - reference[origin]) for origin in reference)
