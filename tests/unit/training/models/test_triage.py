"""The triage net: where its cells lie, what it is taught, and its graph."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from training.export.graphs import TriageGraph
from training.export.onnx_files import export_triage
from training.models.triage import CELL_PX, TriageNet


@pytest.fixture
def net() -> TriageNet:
    torch.manual_seed(3)
    return TriageNet("micro").eval()


def _dot(row: int, column: int) -> Tensor:
    """Bright tissue of 24 x 24 cells with a dark square in the middle of one."""
    images = torch.full((1, 3, 24 * CELL_PX, 24 * CELL_PX), 220.0)
    y, x = row * CELL_PX + CELL_PX // 2, column * CELL_PX + CELL_PX // 2
    images[:, :, y - 8 : y + 8, x - 8 : x + 8] = 40.0
    return images


@torch.inference_mode()
def test_a_cell_answers_for_its_own_place(net: TriageNet) -> None:
    plain = net(torch.full((1, 3, 24 * CELL_PX, 24 * CELL_PX), 220.0))
    for row, column in ((12, 12), (9, 14)):
        change = (net(_dot(row, column)) - plain)[0].abs().numpy()
        rows, columns = np.mgrid[:24, :24]
        middle = [(change * axis).sum() / change.sum() for axis in (rows, columns)]
        assert middle == pytest.approx((row, column), abs=0.75)


@pytest.mark.parametrize(("share", "direction"), [(0.0, 1), (0.1, 0), (0.2, -1)])
def test_a_cell_is_taught_by_how_much_of_a_figure_it_holds(net: TriageNet, share: float, direction: int) -> None:
    """A gradient above 0 makes a figure less likely; what holds a little of one is left alone."""
    net.train()
    given: list[Tensor] = []
    net.head.register_full_backward_hook(lambda _module, _inputs, outputs: given.extend(outputs))
    targets = torch.zeros(1, 24, 24)
    targets[0, 12, 12], targets[0, 12, 13] = 0.6, share
    net(_dot(12, 12), targets)["focal"].backward()
    gradient = given[0][0, 0]
    assert gradient[12, 12] < 0
    assert gradient[3, 3] > 0
    assert np.sign(gradient[12, 13].item()) == direction


def test_the_graph_gives_what_the_net_gives_on_sides_of_whole_cells(net: TriageNet, tmp_path: Path) -> None:
    graph = TriageGraph(net)
    export_triage(graph, tmp_path / "triage.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "triage.onnx", providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(5)
    for shape in ((1, 64, 96, 3), (2, 320, 256, 3)):
        tiles = rng.integers(0, 256, shape, dtype=np.uint8)
        with torch.inference_mode():
            expected = graph(torch.from_numpy(tiles)).numpy()
        (found,) = session.run(["probabilities"], {"tiles": tiles})
        assert found.shape == (shape[0], shape[1] // CELL_PX, shape[2] // CELL_PX)
        np.testing.assert_allclose(found, expected, atol=1e-5)
