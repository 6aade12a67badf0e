"""What the classes of annotation files mean. Whole names only: "Nonmitosis" and "not mitotic figure" hold the word too."""

MITOTIC = frozenset({"mitotic figure", "mitotic figures", "mitosis", "mitoses", "mitosis: accepted"})
REVIEWED = frozenset({"region", "region*", "roi", "reviewed area"})
"""An outline of the area that was looked at, and no object."""


def normal(name: str) -> str:
    """A class name in lower case with single spaces, as the sets here have it."""
    return " ".join(name.split()).lower()
