"""What the command line prints: text as it is, whatever names of files hold.

A name such as `[copy].svs` is no markup, `:ok:.svs` no picture, and one with a control character moves no cursor.
"""

from rich.console import Console
from rich.progress import TextColumn
from rich.text import Text


def open_console(*, stderr: bool = False) -> Console:
    """A console that prints strings as they are."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def text_column(template: str) -> TextColumn:
    """A column of a progress bar that shows text as it is."""
    return TextColumn(template, markup=False)


def labelled(label: str, style: str, text: str) -> Text:
    """A word in a colour, and the text behind it."""
    return Text.assemble((label, style), " ", shown(text))


def shown(text: str) -> str:
    """The text on one line, with every character that would not be seen written out, such as \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
