"""A version folder appears whole, with a card that reads back as written, or not at all."""

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder, by name."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def check_version_number(version: str) -> None:
    """Raise `ValueError` where a version is not of the form 1.2.3."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"{version}: give a version of the form 1.2.3")


def publish(folder: Path, target: Path, card: ModelCard) -> None:
    """Add the card to `folder` and copy it to `target`.

    Raises
    ------
    FileExistsError
        If the version is there already: versions never change.
    ModelError
        If the card does not read back as written.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists; versions never change, choose another")
    (folder / "card.json").write_text(card.model_dump_json(indent=1) + "\n")
    if load_card(folder) != card:
        raise ModelError(f"the card of {folder.name} does not read back as written")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as unfinished:
        part = Path(unfinished) / target.name
        part.mkdir()  # of modes that let others read it; those of `folder` may not
        for file in folder.iterdir():
            shutil.copyfile(file, part / file.name)
        part.rename(target)
