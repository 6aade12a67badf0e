"""An environment a peer, outside the project, with pinned packages; torch is installed once and seen by all of them."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PEERS = ("wsinfer", "tiatoolbox", "lazyslide")
REQUIREMENTS = Path(__file__).parent / "requirements"
_TORCH = "torch"


def default_folder() -> Path:
    """The user's cache (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mitoserve-peers"


def find_python(folder: Path, peer: str) -> Path:
    """The Python of a peer's environment below `folder`, made first where it is not there as its requirements say.

    Raises
    ------
    subprocess.CalledProcessError
        If pip cannot install it; pip has said why.
    """
    shared = _make_environment(folder / _TORCH, REQUIREMENTS / f"{_TORCH}.txt")
    return _bin(_make_environment(folder / peer, REQUIREMENTS / f"{peer}.txt", sees=shared))


def _make_environment(environment: Path, requirements: Path, sees: Path | None = None) -> Path:
    """The environment, with everything that `requirements` names and, after that, what another one has."""
    done, wanted = environment / "installed", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if done.is_file() and done.read_text() == wanted:
        return environment
    print(f"installing {requirements.name} into {environment}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
    if sees is not None:
        (_packages(environment) / "torch.pth").write_text(f"{_packages(sees)}\n")
    # Everything is pinned, transitive packages too.
    command = [_bin(environment), "-m", "pip", "install", "-q", "--no-deps", "-r", requirements]
    subprocess.run(command, check=True)
    done.write_text(wanted)
    return environment


def _bin(environment: Path) -> Path:
    return environment / "bin" / "python"


def _packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found
