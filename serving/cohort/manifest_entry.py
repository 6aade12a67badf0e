"""One slide of a cohort, and the id that its results are kept under."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_NAME_LENGTH = 80


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A slide as the manifest states it.

    id : names the slide's results, unique in the cohort
    source : an absolute path, or a URL
    case : whatever the manifest groups slides by
    mpp : microns per level-0 px, of both axes or of each, in place of what the slide states
    roi : only here, as `parse_roi` takes it
    """

    id: str
    source: str
    case: str = ""
    mpp: float | tuple[float, float] | None = None
    roi: str | None = None


def make_slide_id(source: str) -> str:
    """An id for a slide that the manifest gives none: its name, and a hash that tells apart slides of the same name.

    It depends on `source` alone, so that a manifest may grow or be put into another order.
    """
    stem = PurePosixPath(parse_file_name(source)).stem
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:_NAME_LENGTH] or "slide"
    return f"{readable}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def parse_file_name(source: str) -> str:
    """The file name of a slide, without folders; of a DICOM series its folder's name or UID."""
    name = PurePosixPath(source if is_path(source) else unquote(urlsplit(source).path)).name
    return "slide" if name in ("", ".", "..") else name


def is_path(source: str) -> bool:
    """Whether a source is a path on this machine's file systems, not a URL."""
    return "://" not in source
