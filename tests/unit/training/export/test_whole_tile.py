"""Reg-NS over a whole tile: the sub-tiles' cells on one grid, the same in ONNX Runtime as in torch."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tests.fields import draw_field
from training.export.graphs import WholeTileRegNSGraph
from training.export.onnx_files import export_regns
from training.models.whole_tile import WholeTileRegNS


@pytest.fixture(scope="module")
def graph() -> WholeTileRegNSGraph:
    torch.manual_seed(0)
    model = WholeTileRegNS()
    torch.nn.init.normal_(model.head.share.weight, std=1.0)
    return WholeTileRegNSGraph(model)


@pytest.fixture(scope="module")
def tile() -> torch.Tensor:
    """uint8, shape (1, 375, 625, 3)."""
    return torch.from_numpy(draw_field(seed=4, width=625, height=375, mitoses_per_mm2=300).pixels[None].copy())


def test_a_score_is_the_sum_of_the_cells_that_its_sub_tile_covers(
    graph: WholeTileRegNSGraph, tile: torch.Tensor
) -> None:
    with torch.inference_mode():
        scores = graph(tile)[0]
        enlarged = torch.nn.functional.interpolate(tile.permute(0, 3, 1, 2).float(), (384, 640), mode="bilinear")
        shares = graph.model.head(graph.model.trunk(enlarged[:, :, 16:, 16:])[-1])[0].sigmoid()
    assert shares.shape == (12, 20)
    assert scores.shape == (2, 4)
    assert scores.std() > 0
    for row, column in np.ndindex(2, 4):
        covered = shares[4 * row : 4 * row + 8, 4 * column : 4 * column + 8]
        torch.testing.assert_close(scores[row, column], covered.sum(), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(250, 250), (375, 625)])
def test_onnx_runtime_gives_what_torch_gives(
    graph: WholeTileRegNSGraph, tile: torch.Tensor, tmp_path: Path, height: int, width: int
) -> None:
    export_regns(graph, tmp_path / "model.onnx")
    part = tile[:, :height, :width].contiguous()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = graph(part).numpy()
    np.testing.assert_allclose(session.run(["scores"], {"tiles": part.numpy()})[0], expected, atol=1e-4, rtol=1e-5)


def test_stages_that_others_share_do_not_learn(tile: torch.Tensor) -> None:
    model = WholeTileRegNS().train()
    targets = torch.zeros(1, 8, 16)
    targets[0, 2, 3] = 1
    losses = model(tile[:, :256, :512].permute(0, 3, 1, 2).float(), targets)
    torch.stack([*losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
    learning = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learning
    assert all(name.startswith(("trunk.layer4.", "head.")) for name in learning)
