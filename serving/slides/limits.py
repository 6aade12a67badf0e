"""Sizes beyond any scanner's, refused before anything of that size is allocated."""

from serving.core.errors import SlideTooLargeError

MAX_SIDE_PX = 2**20
"""Twenty times the longest side a slide scanner makes; more is a forged header."""
MAX_PIXELS = 4 * 10**11
"""A full 75 x 25 mm glass at 0.1 um/px has 1.9e11 px."""
MAX_STORED_TILE_PX = 2**26
"""Pixels of one stored tile: 8,192 px squared, where scanners write 240 to 4,096 px. OpenSlide allocates what a TIFF
states, and a failed allocation in its GLib ends the whole process."""


def check_size(width: int, height: int) -> None:
    """Refuse slides of a size that no scanner makes.

    Raises
    ------
    SlideTooLargeError
        If a side or the area is over its limit.
    """
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise SlideTooLargeError(
            f"the slide states {width} x {height} px; "
            f"the limit is {MAX_SIDE_PX} px a side and {MAX_PIXELS:.0e} px in all"
        )


def check_stored_tile(width: int, height: int) -> None:
    """Refuse stored tiles of a size that no scanner writes.

    Raises
    ------
    SlideTooLargeError
        If a tile has more than `MAX_STORED_TILE_PX`.
    """
    if width * height > MAX_STORED_TILE_PX:
        raise SlideTooLargeError(
            f"the slide is stored in tiles of {width} x {height} px; the limit is {MAX_STORED_TILE_PX} px a tile"
        )
