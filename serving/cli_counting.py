"""Command line options of how figures are counted once they are found."""

from collections.abc import Callable
from typing import Any, get_args

import click

from serving.scoring.analysis import CountingOptions
from serving.scoring.counting import MAX_FIELDS, MAX_HOTSPOTS
from serving.scoring.profiles import NO_PROFILE, profile_names
from serving.scoring.windows import Shape

_DEFAULTS = CountingOptions()
_OPTIONS = (
    click.option("--hotspot-area", type=float, help="mm2; by default the profile's, else 2."),
    click.option(
        "--hotspot-shape", type=click.Choice(get_args(Shape)), default=_DEFAULTS.hotspot_shape, show_default=True
    ),
    click.option(
        "--hotspots", type=click.IntRange(0, MAX_HOTSPOTS), default=_DEFAULTS.hotspots, show_default=True,
        help="At most so many; they do not overlap.",
    ),
    click.option(
        "--hotspot-min-tissue", type=click.FloatRange(0, 1), default=_DEFAULTS.hotspot_min_tissue, show_default=True,
        help="Windows with a smaller share of tissue do not compete.",
    ),
    click.option("--field-diameter", type=float, help="mm; the hotspot's area is that of --fields such fields."),
    click.option(
        "--fields", type=click.IntRange(1, MAX_FIELDS), default=_DEFAULTS.fields, show_default=True,
        help="High-power fields.",
    ),
    click.option(
        "--profile", type=click.Choice([*profile_names(), NO_PROFILE]), default=_DEFAULTS.profile, show_default=True,
        help="Cut-offs for the first hotspot's count.",
    ),
)  # fmt: skip


def counting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options of `CountingOptions`, named as its fields."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
