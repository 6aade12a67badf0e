"""The file of weights that is meant: given itself, or the folder of a model as Hugging Face keeps it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from serving.core.errors import RequestError

GRAPHS = (".onnx",)
STATES = (".pt", ".pth", ".bin", ".ckpt", ".tar", ".safetensors")
"""Suffixes of state dicts, which need torch and the code of the network."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file, and what a README beside it states of its licence."""

    path: Path
    licence: str | None = None

    @property
    def is_graph(self) -> bool:
        """Whether it is an ONNX file."""
        return self.path.suffix.lower() in GRAPHS


def find_weights(path: Path) -> WeightsFile:
    """The weights at a path: a file, or the only one in a folder, of which graphs come before state dicts.

    Raises
    ------
    RequestError
        If there is none, or several, or the file is of no known kind.
    """
    if path.is_file():
        if path.suffix.lower() not in (*GRAPHS, *STATES):
            raise RequestError(
                f"{path.name} is neither a graph ({', '.join(GRAPHS)}) nor a state dict ({', '.join(STATES)})"
            )
        return WeightsFile(path)
    for suffixes in (GRAPHS, STATES):
        found = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in suffixes)
        if len(found) > 1:
            names = ", ".join(str(p.relative_to(path)) for p in found[:10])
            raise RequestError(f"{path} holds {len(found)} files of weights ({names}): give one of them")
        if found:
            return WeightsFile(found[0], _read_licence(path / "README.md"))
    raise RequestError(f"{path} holds no weights: a file that ends in {', '.join((*GRAPHS, *STATES))}")


def _read_licence(readme: Path) -> str | None:
    """What the metadata at the head of a model's README state as `license`; None where they do not."""
    try:
        head, _, rest = readme.read_text().partition("---\n")
        stated: Any = yaml.safe_load(rest.partition("---\n")[0]) if not head.strip() else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return None
    licence = stated.get("license") if isinstance(stated, dict) else None
    return licence if isinstance(licence, str) and licence else None
