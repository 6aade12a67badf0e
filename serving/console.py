"""What the command line prints: text as it is, whatever names of files hold.

A name such as `[copy].svs` is no markup, `:ok:.svs` no picture, and one with a control character moves no cursor.
"""

import os
import sys

import click
from rich.console import Console
from rich.progress import TextColumn
from rich.table import Column, Table
from rich.text import Text

from serving.core.words import as_options

UNBROKEN = 10_000
"""Characters of a line in a pipe or a file, where no window limits it."""


def open_console(*, stderr: bool = False) -> Console:
    """A console that prints strings as they are, and breaks or cuts no line that does not go to a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else UNBROKEN
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, width=width)


def open_table(*headers: str) -> Table:
    """A table that breaks what is too long for a terminal into several lines, and never cuts it."""
    return Table(*(Column(header, overflow="fold") for header in headers))


def format_message(message: object) -> str:
    """An error or a warning as the running command says it: with its options in place of the API's names."""
    context = click.get_current_context(silent=True)
    options = () if context is None else [name for param in context.command.params for name in param.opts]
    return as_options(str(message), options)


def text_column(template: str) -> TextColumn:
    """A column of a progress bar that shows text as it is."""
    return TextColumn(template, markup=False)


def format_label(label: str, style: str, text: str) -> Text:
    """A word in a colour, and the text behind it."""
    return Text.assemble((label, style), " ", escape_control(text))


def escape_control(text: str) -> str:
    """The text on one line, with every character that would not be seen written out, such as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
