"""Batch norm that is folded into convolutions before weights are rounded."""

import pytest
import torch
from torch import nn

from training.export.rounding import fold_norms
from training.models.triage import TriageNet


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["micro", "timm/efficientnet_lite0"])
def test_a_net_gives_the_same_and_its_norms_do_nothing_more(backbone: str) -> None:
    torch.manual_seed(2)
    net = TriageNet(backbone).eval()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        for values, low, high in ((norm.weight, 0.5, 1.5), (norm.bias, -0.2, 0.2)):
            values.uniform_(low, high)
        for statistic, low, high in ((norm.running_mean, -0.3, 0.3), (norm.running_var, 0.5, 2.0)):
            assert statistic is not None
            statistic.uniform_(low, high)
    images = torch.rand(2, 3, 128, 192) * 255
    folded = fold_norms(net)
    torch.testing.assert_close(folded(images), net(images), rtol=1e-3, atol=1e-4)
    weights = [module.weight for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(weights) == len(norms) > 0
    assert all(bool((weight == 1).all()) for weight in weights)


def test_a_norm_without_a_convolution_is_refused() -> None:
    with pytest.raises(ValueError, match="follows no convolution"):
        fold_norms(nn.Sequential(nn.BatchNorm2d(3)).eval())
    with pytest.raises(ValueError, match="follows no convolution"):
        fold_norms(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(3)).eval())
