"""The study's models as graphs: the same as torch, whatever the batch."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.export.graphs import cut
from training.export.parity import parity_tile, parity_windows
from training.export.sub_tile_graphs import DetectorGraph, NetGraph, Resize
from training.models.classes import MODELS, build
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet


@pytest.fixture(scope="module")
def windows() -> NDArray[np.uint8]:
    return parity_windows()


@pytest.mark.parametrize(("name", "side"), [("BC", 64), ("Reg-NS", 250)])
def test_a_tile_graph_gives_each_sub_tile_its_own_score(name: str, side: int) -> None:
    torch.manual_seed(0)
    net = build(MODELS[name].head, backbone="micro", side=side)
    assert isinstance(net, SubTileNet)
    net.eval()
    tile = torch.from_numpy(parity_tile())
    with torch.inference_mode():
        scores = NetGraph(net)(tile)
        alone = net(cut(tile).float()).reshape(1, 3, 7)
    assert scores.shape == (1, 3, 7)
    assert scores.std() > 0
    torch.testing.assert_close(scores, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("side", [96, 250])
def test_a_detector_graph_gives_torchvisions_boxes(windows: NDArray[np.uint8], side: int, *, pretrained: bool) -> None:
    detector = lively_detector(side, pretrained=pretrained)
    some = torch.from_numpy(windows[2:7])
    with torch.inference_mode():
        expected = detector(some.permute(0, 3, 1, 2).float())
        boxes, probabilities, counts = DetectorGraph(detector)(some)
    assert counts.tolist() == [len(e["boxes"]) for e in expected]
    assert 0 < counts.min() < counts.max()
    for i, (e, n) in enumerate(zip(expected, counts.tolist(), strict=True)):
        torch.testing.assert_close(boxes[i, :n], e["boxes"], atol=0.01, rtol=0)
        torch.testing.assert_close(probabilities[i, :n], e["scores"], atol=1e-4, rtol=0)
        assert not boxes[i, n:].any()
        assert not probabilities[i, n:].any()


def test_windows_of_a_batch_do_not_see_each_other(windows: NDArray[np.uint8]) -> None:
    graph = DetectorGraph(lively_detector(96, pretrained=False))
    with torch.inference_mode():
        together = graph(torch.from_numpy(windows[:4]))
        for i in range(4):
            for a, b in zip(graph(torch.from_numpy(windows[i : i + 1])), together, strict=True):
                torch.testing.assert_close(a[0], b[i], atol=1e-3, rtol=0)


def test_resizing_by_products_is_torchs_resizing() -> None:
    pictures = torch.rand(2, 3, 250, 250)
    for target, antialias in ((64, True), (800, False)):
        expected = torch.nn.functional.interpolate(
            pictures, size=(target, target), mode="bilinear", align_corners=False, antialias=antialias
        )
        torch.testing.assert_close(Resize(250, target, antialias=antialias)(pictures), expected, atol=1e-5, rtol=0)


def lively_detector(side: int, *, pretrained: bool) -> SubTileDetector:
    """A detector with random weights, so spread that windows differ in what survives."""
    torch.manual_seed(1)
    detector = build("boxes", backbone="micro", side=side, pretrained=pretrained)
    assert isinstance(detector, SubTileDetector)
    with torch.no_grad():
        head = detector.model.roi_heads.box_predictor
        detector.model.rpn.head.cls_logits.weight.mul_(20)
        detector.model.rpn.head.bbox_pred.weight.mul_(30)
        head.cls_score.weight.mul_(10)
        head.bbox_pred.weight.mul_(30)
        detector.model.roi_heads.score_thresh = 0.4
    return detector.eval()
