"""The tile graph of a Reg-NS that sees a tile at once."""

from torch import Tensor, nn
from torch.nn import functional as F

from training.models.whole_tile import SCALE, WholeTileRegNS


class WholeTileRegNSGraph(nn.Module):
    """tiles uint8 (N, H, W, 3), H and W multiples of 125 -> scores float32 (N, H / 125 - 1, W / 125 - 1).

    The contract of `RegNSGraph`; but a score depends on its surroundings in the tile, and so, a little, on the tile in
    which it is asked for.
    """

    def __init__(self, model: WholeTileRegNS) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, tiles: Tensor) -> Tensor:
        """See the class."""
        pixels = tiles.permute(0, 3, 1, 2).float()
        enlarged = F.interpolate(pixels, scale_factor=SCALE, mode="bilinear", align_corners=False)
        scores: Tensor = self.model(enlarged)
        return scores
