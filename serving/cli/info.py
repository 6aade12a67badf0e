"""`mitoserve info`: what is read from a slide."""

from pathlib import Path

import click

from serving.console import escape_control, format_message, open_console
from serving.core.errors import MitoserveError
from serving.slides.opening import open_slide

_out = open_console()


@click.command()
@click.argument("slide", type=click.Path(path_type=Path))
def info(slide: Path) -> None:
    """State what Mitoserve reads from a slide: size, resolution, vendor, hash."""
    try:
        with open_slide(slide) as opened:
            rows = {
                "name": opened.name,
                "vendor": opened.vendor,
                "size": f"{opened.width} x {opened.height} px",
                "mpp": "not stated; pass --mpp to score" if opened.mpp is None else f"{opened.mpp:g} um/px",
                "sha256": opened.sha256,
            }
    except (MitoserveError, OSError) as error:
        raise click.ClickException(format_message(error)) from error
    for name, value in rows.items():
        _out.print(f"{name:8} {escape_control(value)}", soft_wrap=True)
