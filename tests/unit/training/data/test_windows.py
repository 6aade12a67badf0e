import numpy as np
import pytest

from training.data.crops import CropBank
from training.data.fields import Field
from training.data.windows import (
    Source,
    WindowSampler,
    background_source,
    collage_source,
    composite_source,
    event_source,
)

RED = (200, 30, 30)


def _field(boxes: list[list[float]], forbidden: list[list[float]]) -> Field:
    pixels = np.full((800, 900, 3), 200, np.uint8)
    for x1, y1, x2, y2 in np.asarray(boxes, int).reshape(-1, 4):
        pixels[y1:y2, x1:x2] = RED
    arrays = (np.asarray(b, np.float32).reshape(-1, 4) for b in (boxes, forbidden))
    return Field("f", "S", 0.25, pixels, *arrays)


@pytest.fixture
def bank() -> CropBank:
    pixels = np.full((3, 128, 128, 3), 190, np.uint8)
    pixels[:, 50:78, 50:78] = RED
    return CropBank(pixels, np.asarray(["a", "b", "c"]))


def _is_red(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], x: float, y: float) -> bool:
    return bool(np.abs(pixels[int(y), int(x)].astype(int) - RED).max() < 30)


def test_event_windows_hold_an_event_even_at_the_fields_edge() -> None:
    source = event_source([_field([[2, 3, 30, 31], [860, 760, 898, 798], [400, 400, 430, 430]], [])])
    for seed in range(60):
        window = source(np.random.default_rng(seed))
        centres = (window.boxes[:, :2] + window.boxes[:, 2:]) / 2
        inside = centres[((centres > 0) & (centres < 250)).all(1)]
        assert len(inside)
        assert all(_is_red(window.pixels, x, y) for x, y in inside)


def test_background_windows_touch_nothing_forbidden() -> None:
    field = _field([], [[300, 300, 340, 340]])
    field.pixels[300:340, 300:340] = RED
    source = background_source([field])
    for seed in range(60):
        assert not (source(np.random.default_rng(seed)).pixels[..., 1] < 100).any()


def test_collage_boxes_sit_on_figures_and_covered_figures_have_no_box(bank: CropBank) -> None:
    source, boxes, red = collage_source(bank), 0, 0.0
    for seed in range(40):
        window = source(np.random.default_rng(seed))
        boxes += len(window.boxes)
        for x1, y1, x2, y2 in window.boxes:
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            if 0 < x < 250 and 0 < y < 250:
                assert _is_red(window.pixels, x, y)
        red += float((window.pixels[..., 1] < 100).sum())
    assert boxes > 40
    # All red lies in boxed figures: about 28 x 28 px each, less what windows cut off.
    assert red < boxes * 28 * 28 * 1.6


def test_composites_label_what_they_paste(bank: CropBank) -> None:
    source = composite_source(bank, background_source([_field([], [])]))
    windows = [source(np.random.default_rng(seed)) for seed in range(30)]
    assert 10 < sum(len(w.boxes) for w in windows) < 90


def test_the_same_generator_draws_the_same_window(bank: CropBank) -> None:
    sources: list[tuple[float, Source]] = [
        (1.0, collage_source(bank)),
        (2.0, event_source([_field([[9, 9, 40, 40]], [])])),
    ]
    sampler = WindowSampler(sources)
    a, b = (sampler.draw(np.random.default_rng([3, 4])) for _ in range(2))
    assert np.array_equal(a.pixels, b.pixels)
    assert np.array_equal(a.boxes, b.boxes)
    assert a.pixels.shape == (250, 250, 3)
