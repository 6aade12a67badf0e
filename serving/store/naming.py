"""File names that clients state: for people to read, never part of a path but for their suffix."""

import re
import unicodedata

from serving.core.errors import RequestError

NAME_LENGTH = 200


def safe_name(stated: str) -> str:
    """The last component of a file name from a client, printable and at most 200 characters with its suffix.

    Raises
    ------
    RequestError
        If nothing is left of it.
    """
    base = re.split(r"[/\\]", unicodedata.normalize("NFC", stated))[-1]
    name = "".join(c for c in base if c.isprintable()).strip().lstrip(".")
    if not name:
        raise RequestError(f"{stated[:80]!r} is no file name; name the file with its suffix, such as slide.svs")
    suffix = find_suffix(name)
    return name[: NAME_LENGTH - len(suffix)].removesuffix(suffix) + suffix if len(name) > NAME_LENGTH else name


def find_suffix(name: str) -> str:
    """The last one or two suffixes of a name in lower case (`.svs`, `.ome.tif`); empty where there is none."""
    found = re.search(r"(\.[A-Za-z0-9]{1,8}){0,2}$", name)
    return found.group().lower() if found else ""
