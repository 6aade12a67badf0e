"""What all tools are measured on: the network in their formats, their environments, slides and the world that they see."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.lattice import Square
from benchmarks.peers.slides import write_slides
from benchmarks.peers.weights import NetworkFiles, write_models

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class PeerInputs:
    """folder : scratch. released : the models folder. data : where real slides are. script : TorchScript. pythons : of the peers."""

    folder: Path
    released: Path
    data: Path
    pythons: Mapping[str, Path]
    models: NetworkFiles
    script: Path
    variables: Mapping[str, str]

    @classmethod
    def prepare(cls, folder: Path, released: Path, data: Path, pythons: Mapping[str, Path], cores: int) -> "PeerInputs":
        """With the network written in all formats."""
        (folder / "models").mkdir()
        models, script = write_models(released, folder / "models"), folder / "models" / "script.pt"
        variables = make_variables(folder / "home", cores)
        if "wsinfer" in pythons:
            # By the torch that will read it.
            command = [pythons["wsinfer"], "-m", "benchmarks.peers.network", models.torch_weights, script]
            subprocess.run(command, check=True, env=variables)
        return cls(folder, released, data, pythons, models, script, variables)

    def slides(self, square: Square) -> dict[str, Path]:
        """See `write_slides`."""
        return write_slides(self.folder / f"slides-{square.tiles}", self.data, square)


def make_variables(home: Path, cores: int) -> dict[str, str]:
    """So many threads, no GPU, no network, a home of their own."""
    home.mkdir()
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "OMP_NUM_THREADS": str(cores),
        "MKL_NUM_THREADS": str(cores),
        # On a busy machine torch's threads spin a third of their processor time away, and are no faster for it.
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUDA_VISIBLE_DEVICES": "",
        "WSINFER_FORCE_CPU": "1",
        "HF_HUB_OFFLINE": "1",
    }
