"""One file a format. `EXPORTS` is the registry that the HTTP app, the client and the command line share."""

import os
from pathlib import Path

from serving.exports.export import EXPORTS, Export
from serving.scoring.analysis import Analysis

__all__ = ["EXPORTS", "Export", "write", "write_all"]


def write_all(analysis: Analysis, folder: Path) -> list[Path]:
    """Write the usual formats into `folder`; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write(name, analysis, folder / export.file_name) for name, export in EXPORTS.items() if export.usual]


def write(name: str, analysis: Analysis, path: Path, *, slide: Path | None = None) -> Path:
    """Write one format to `path`, which appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            for chunk in EXPORTS[name].chunks(analysis, slide):
                file.write(chunk)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
