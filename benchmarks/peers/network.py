"""Reg-NS for tools that take torch modules. `python -m benchmarks.peers.network weights.pt out.pt` traces it."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from training.models.cascade import RELEASED_TRUNK, RegNS
from training.models.trunks.timm_nets import build_trunk


class WindowScreener(nn.Module):
    """RGB of windows, 0 to `white`, float32, (N, 3, 250, 250) -> scores, float32, (N, 1).

    In memory, channels come last: torch's convolutions then take three quarters of the time on a CPU.
    """

    def __init__(self, white: float = 255.0) -> None:
        super().__init__()
        self.trunk, self.head, self.gain = build_trunk(RELEASED_TRUNK, "folded"), RegNS(), 255.0 / white

    @classmethod
    def load(cls, weights: Path, white: float = 255.0) -> "WindowScreener":
        """With the weights of a file of `training`'s names, ready to infer."""
        screener = cls(white)
        screener.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
        return screener.eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        pixels = images.contiguous(memory_format=torch.channels_last) * self.gain
        logits = self.head(self.trunk(pixels)[-1])
        return RegNS.score(logits).unsqueeze(1)


def trace(weights: Path, target: Path) -> None:
    """Write TorchScript that takes pixels of 0 to 1, as torchvision's ToTensor gives them."""
    with torch.inference_mode():
        traced = torch.jit.trace(WindowScreener.load(weights, white=1.0), torch.zeros(2, 3, 250, 250))
    traced.save(str(target))


if __name__ == "__main__":
    trace(Path(sys.argv[1]), Path(sys.argv[2]))
