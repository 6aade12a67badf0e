"""The id of a slide: a hash of everything that its pixels depend on."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from serving.slides.slidefiles import slide_files

ID_RULE = 2
"""Number of the rule below. Rule 1 hashed names and contents one after the other, without their lengths."""
_TAG = b"Mitoserve slide of several files, 2\n"
"""Begins what is hashed last. No slide begins so, and what is hashed then is shorter than the header of any slide, so
that no single file has the id of several."""
_BLOCK = 2**20


def slide_sha256(path: Path) -> str:
    """Id of the slide that `path`, its folder or one of its files, names: 64 hexadecimal digits.

    A slide of one file has the SHA-256 of its bytes, whatever it is called. One of several has a hash of the name, size and
    SHA-256 of each.

    Raises
    ------
    MitoserveError
        What `slide_files` raises.
    """
    files = slide_files(path)
    if len(files.names) == 1:
        return _hash_file(files.main_path)[1].hex()
    return hash_several((name, *_hash_file(files.folder / name)) for name in files.names)


def hash_several(files: Iterable[tuple[str, int, bytes]]) -> str:
    """Id of a slide of several files: name, bytes and SHA-256 of each, in the order of their names."""
    return hashlib.sha256(_TAG + hashlib.sha256(encode_files(files)).digest()).hexdigest()


def encode_files(files: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Name, size and hash of each file as bytes that tell where each ends, so that other files never give the same."""
    parts = []
    for name, size, digest in files:
        text = name.encode("utf-8", "surrogateescape")
        parts += [len(text).to_bytes(8, "big"), text, size.to_bytes(8, "big"), digest]
    return b"".join(parts)


def _hash_file(path: Path) -> tuple[int, bytes]:
    """Bytes and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.digest()
