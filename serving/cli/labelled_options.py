"""Options of commands that choose something on labelled pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from serving.evaluation.threshold_rules import THRESHOLD_RULES


def labelled_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--labelled`, `--mpp` and `--rule`: which pictures, their resolution, and how the threshold is chosen on them."""
    for option in (
        click.option(
            "--rule",
            default="flat-f1",
            show_default=True,
            type=click.Choice(list(THRESHOLD_RULES)),
            help="How the threshold is chosen.",
        ),
        click.option("--mpp", type=float, help="Microns per px of every picture, in place of what files state."),
        click.option(
            "--labelled",
            type=click.Path(exists=True, path_type=Path),
            required=True,
            help="Labelled pictures, in a format that `mitoserve benchmark` takes.",
        ),
    ):
        command = option(command)
    return command
