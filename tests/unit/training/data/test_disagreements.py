"""Two label sets of the same tissue, scanned twice: what they contradict each other of is ambiguous in both."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from serving.datasets.store import Annotation, Dataset, Picture
from serving.slides.arrayslide import ArraySlide
from training.data.disagreements import reconcile
from training.data.registration import find_shift, read_blurred

MPP_A, MPP_B = 0.5, 0.4
SCALE = MPP_A / MPP_B
OFFSET_UM = (120.0, 60.0)
"""Where the second picture begins in the first."""


def tissue_um(seed: int) -> np.ndarray:
    """Smooth random tissue, 1 um a pixel, shape (700, 900)."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(700, 900)), 4)
    return np.asarray((noise - noise.min()) / (noise.max() - noise.min()) * 200 + 20)


def scan(tissue: np.ndarray, x: int, y: int, width: int, height: int, *, mpp: float, tint: float) -> np.ndarray:
    """A part of the tissue, um, as a scanner of this resolution and colour shows it."""
    part = zoom(tissue[y : y + height, x : x + width], 1 / mpp, order=1)
    grey = np.clip(part * tint + 10, 0, 255)
    return np.repeat(grey[..., None], 3, -1).astype(np.uint8)


def picture(
    name: str, pixels: np.ndarray, mpp: float, patient: str, objects: dict[str, list[tuple[float, float]]]
) -> Picture:
    annotations = [
        Annotation.model_validate(
            {
                "box": (x - 10, y - 10, x + 10, y + 10),
                "label": label,
                "agreement": float(label == "mitotic figure"),
                "nominal": True,
            }
        )
        for label, points in objects.items()
        for x, y in points
    ]
    height, width = pixels.shape[:2]
    return Picture(
        id=name, path=f"{name}.png", width=width, height=height, mpp=mpp, slide=name, patient=patient,
        annotations=tuple(annotations),
    )  # fmt: skip


def in_b(x: float, y: float) -> tuple[float, float]:
    """A point of the first picture, px, in the second."""
    return (x * MPP_A - OFFSET_UM[0]) / MPP_B, (y * MPP_A - OFFSET_UM[1]) / MPP_B


@pytest.fixture
def stores(tmp_path: Path) -> list[Dataset]:
    """Both show one figure; each has one alone, one of which the other marks as a look-alike; and figures beyond the overlap."""
    tissue = tissue_um(1)
    a = scan(tissue, 0, 0, 500, 400, mpp=MPP_A, tint=1.0)
    b = scan(tissue, int(OFFSET_UM[0]), int(OFFSET_UM[1]), 500, 400, mpp=MPP_B, tint=0.8)
    other = scan(tissue_um(2), 0, 0, 400, 400, mpp=MPP_B, tint=0.8)
    both, of_a, of_b = (500.0, 300.0), (700.0, 500.0), (600.0, 200.0)
    first = picture("a", a, MPP_A, "P", {"mitotic figure": [both, of_a, (60.0, 60.0)], "look-alike": [(800.0, 300.0)]})
    x, y = in_b(*both)
    second = picture(
        "b",
        b,
        MPP_B,
        "P",
        {"mitotic figure": [(x + 4, y - 4), in_b(*of_b), (1200.0, 900.0)], "look-alike": [in_b(*of_a)]},
    )
    third = picture("c", other, MPP_B, "P", {"mitotic figure": [(300.0, 300.0)]})
    stranger = picture("d", b, MPP_B, "Q", {})
    for pixels, of in ((a, first), (b, second), (other, third), (b, stranger)):
        Image.fromarray(pixels).save(tmp_path / of.path)
    return [
        Dataset(name=name, format="tests", licence="none", root=str(tmp_path), pictures=pictures)
        for name, pictures in (("one", (first,)), ("two", (second, third, stranger)))
    ]


def test_a_shift_is_found_across_resolution_and_colour_and_none_where_there_is_none(stores: list[Dataset]) -> None:
    made = {p.id: read_blurred(_open(store, p), p) for store in stores for p in store}
    shift = find_shift(made["a"], made["b"])
    assert shift is not None
    assert (shift.x, shift.y) == pytest.approx(OFFSET_UM, abs=2.5)
    assert shift.correlation > 0.8
    points = np.asarray([(500.0, 300.0)])
    assert shift.to_second(points)[0] == pytest.approx(in_b(500, 300), abs=7)
    assert shift.to_first(shift.to_second(points)) == pytest.approx(points)
    back = find_shift(made["b"], made["a"])
    assert back is not None
    assert (back.x, back.y) == pytest.approx((-shift.x, -shift.y), abs=2.1)
    assert find_shift(made["a"], made["c"]) is None


def _open(store: Dataset, of: Picture) -> ArraySlide:
    return ArraySlide(np.asarray(Image.open(Path(store.root) / of.path)), mpp=of.mpp)


def test_what_one_set_contradicts_is_ambiguous_in_both(stores: list[Dataset]) -> None:
    said: list[str] = []
    (one, two), (overlap,) = reconcile(stores, say=said.append)
    assert (overlap.figures, overlap.agreed) == ((2, 2), 1)
    assert said == [str(overlap)]
    a, (b, c, d) = one.pictures[0], two.pictures
    assert sorted(map(tuple, a.centres().tolist())) == [(60, 60), (500, 300)]
    assert len(b.centres()) == 2
    assert a.centres("look-alike").tolist() == [[800, 300]], "nothing contradicts a look-alike"
    assert len(b.centres("look-alike")) == 0, "the other set calls it a figure"
    for of, places in ((a, [(700, 500), (600, 200)]), (b, [in_b(700, 500), in_b(600, 200)])):
        middles = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in of.ambiguous_areas]
        for place in places:
            assert min(np.hypot(x - place[0], y - place[1]) for x, y in middles) < 8
        assert len(middles) == 2
    assert c == stores[1].pictures[1]
    assert d == stores[1].pictures[2], "another patient is not compared"


def test_a_second_time_changes_nothing(stores: list[Dataset]) -> None:
    once, _ = reconcile(stores, say=lambda _: None)
    twice, overlaps = reconcile(once, say=lambda _: None)
    assert overlaps[0].figures == (1, 1)
    assert twice == once


def test_blank_pictures_have_nothing_in_common() -> None:
    white = np.full((400, 500, 3), 255, np.uint8)
    of = picture("w", white, 1.0, "P", {})
    made = read_blurred(ArraySlide(white, mpp=1.0), of)
    assert find_shift(made, made) is None


def test_a_picture_without_a_resolution_cannot_be_compared(stores: list[Dataset]) -> None:
    of = stores[0].pictures[0].model_copy(update={"mpp": None})
    with pytest.raises(ValueError, match="states no resolution"):
        reconcile([stores[0].model_copy(update={"pictures": (of,)}), stores[1]])
