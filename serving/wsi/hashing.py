"""The hash that identifies a slide."""

import hashlib
from pathlib import Path


def slide_sha256(path: Path) -> str:
    """Hash of the file; of all names and contents where the slide is several files."""
    digest = hashlib.sha256()
    files = slide_files(path)
    for file in files:
        if len(files) > 1:
            digest.update(file.name.encode() + b"\0")
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def slide_files(path: Path) -> list[Path]:
    """Every file that belongs to the slide, in a fixed order."""
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file())
    beside = path.with_suffix("")
    if path.suffix.lower() == ".mrxs" and beside.is_dir():
        return [path, *sorted(p for p in beside.iterdir() if p.is_file())]
    return [path]
