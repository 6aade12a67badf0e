"""The verifier: its windows, what it learns from, and that turning a window changes nothing once exported."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from serving.datasets.store import Annotation, Dataset, make_box
from tests.fields import draw_field
from tests.unit.serving.datasets.pictures import picture
from training.data.candidates import LABELS, LabelledPlaces, read_candidates
from training.data.combined_stores import combine_datasets
from training.data.verifier_windows import Draw, Geometry, VerifierWindows
from training.export.graphs import VerifierGraph
from training.models.verifier import WINDOW_PX, Verifier, figure_logit
from training.recipes.reading import parse_recipe
from training.recipes.registry import TrainingData
from training.recipes.verifier import VerifierRecipe

DRAWS = (Draw(label="figure", count=2), Draw(label="look-alike", count=1), Draw(label="other", count=3))
RECIPE = {
    "kind": "verifier",
    "backbone": "micro",
    "steps": 4,
    "learning_rate": 1e-3,
    "batch": 1,
    "precision": "float32",
    "draw": [d.model_dump() for d in DRAWS],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """A field with figures, look-alikes and a spoilt quarter, and a crop, of two stores."""
    folder, stores = tmp_path_factory.mktemp("pictures"), []
    made = draw_field(seed=4, width=400, height=400, mitoses_per_mm2=400, lookalikes_per_mm2=300)
    Image.fromarray(made.pixels).save(folder / "field.png")
    boxes, alike = ([make_box(box) for box in found] for found in (made.mitotic_figures, made.lookalikes))
    field = picture(boxes, name="field", patient="F", size=(400, 400), unlabelled=((0, 0, 200, 200),))
    marked = [Annotation(box=b, label="look-alike", agreement=0) for b in alike]
    stores.append(("fields", field.model_copy(update={"annotations": (*field.annotations, *marked)})))
    crop = draw_field(seed=3, width=128, height=128, mitoses_per_mm2=0).pixels
    Image.fromarray(crop).save(folder / "crop.png")
    stores.append(("crops", picture([(48, 48, 80, 80)], name="crop", patient="C", size=(128, 128), agreement=[0.8])))
    both = combine_datasets(
        [Dataset(name=n, format="test", licence="none", root=str(folder), pictures=(p,)) for n, p in stores]
    )
    return TrainingData(both.pictures, (), Path(both.root))


@pytest.fixture(scope="module")
def candidates(data: TrainingData) -> LabelledPlaces:
    return read_candidates(data.train, data.root, per_picture=300)


def _windows(candidates: LabelledPlaces, **geometry: object) -> VerifierWindows:
    return VerifierWindows(candidates, DRAWS, ("figure", "other"), Geometry.model_validate(geometry))


def test_places_are_labelled_and_negatives_lie_away_from_them_and_from_what_is_spoilt(
    candidates: LabelledPlaces,
) -> None:
    assert set(candidates.store) == {"fields", "crops"}
    field = candidates.store == "fields"
    marked = candidates.centre[field & (candidates.label < 2)]
    others = candidates.centre[field & (candidates.label == 2)]
    assert len(others) > 20
    apart = np.hypot(*(others[:, None] - marked[None]).transpose(2, 0, 1)).min(1)
    assert apart.min() >= 30
    assert not ((others < 200).all(1)).any()
    beside = candidates.centre[~field & (candidates.label == 2)] - 64
    assert (np.hypot(*beside.T) > 20).all()
    assert candidates.soft[~field & (candidates.label == 0)].tolist() == [pytest.approx(0.8)]


def test_given_points_take_the_place_of_the_darkest_nuclei(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("picture,x,y\nfields/field,300,20\n")
    found = read_candidates(data.train, data.root, per_picture=300, points=tmp_path / "points.csv")
    others = found.centre[(found.store == "fields") & (found.label == 2)]
    assert len(others) <= 1
    (tmp_path / "points.csv").write_text("picture,x,y\nother/field,300,20\n")
    with pytest.raises(ValueError, match="names none of the 2 pictures; it names other/field"):
        read_candidates(data.train, data.root, per_picture=300, points=tmp_path / "points.csv")


def test_draws_depend_on_the_generator_and_the_weights_alone(candidates: LabelledPlaces) -> None:
    windows = _windows(candidates, window_px=96)
    (first, labels), (again, _), (other, _) = (windows.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (6, 3, 96, 96)
    assert labels.tolist() == [[1, 0]] * 2 + [[0, 1]] * 4
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    chosen = int(np.flatnonzero(candidates.label == 2)[7])
    windows.weights[candidates.label == 2] = 1e-9
    windows.weights[chosen] = 1.0
    still = _windows(candidates, window_px=64, jitter_px=0, zoom=(1, 1), restained=0)
    still.weights = windows.weights
    assert len({tuple(candidates.centre[chosen])}) == 1
    pool = still._pools[2]
    drawn = np.random.default_rng(0).choice(pool, 20, p=still.weights[pool] / still.weights[pool].sum())
    assert set(drawn.tolist()) == {chosen}


def test_a_draw_may_be_of_crops_or_of_fields(candidates: LabelledPlaces) -> None:
    draws = (Draw(label="figure", count=3, pictures="crops"), Draw(label="other", count=5, pictures="fields"))
    windows = VerifierWindows(candidates, draws, ("figure", "other"), Geometry())
    drawn = {(LABELS[label], store) for label, store in
             zip(candidates.label[windows.drawn], candidates.store[windows.drawn], strict=True)}  # fmt: skip
    assert drawn == {("figure", "crops"), ("other", "fields")}
    fields = candidates.store == "fields"
    assert (candidates.crop == ~fields).all()
    with pytest.raises(ValueError, match="draws look-alikes of crops, and the data hold none"):
        VerifierWindows(
            candidates, (Draw(label="look-alike", count=1, pictures="crops"),), ("figure", "other"), Geometry()
        )


def test_plain_windows_show_the_place_in_the_middle_at_the_stated_scale(candidates: LabelledPlaces) -> None:
    chosen = np.flatnonzero((candidates.label == 2) & (candidates.store == "fields"))[:1]
    window = _windows(candidates).plain_windows(chosen)[0].permute(1, 2, 0).numpy()
    x, y = candidates.centre[chosen[0]]
    pixels = candidates.fields[0].pixels
    x1, y1 = int(x - 0.5) - 31, int(y - 0.5) - 31
    if min(x1, y1) >= 0 and max(x1, y1) + 62 <= 400:
        # The place is the middle of a px, and a window of an even side has none there: a mean of two px each way.
        part = pixels[y1 - 1 : y1 + 63, x1 - 1 : x1 + 63].astype(float)
        assert np.abs(part - window).mean() < 12
    coarse = _windows(candidates, mpp=0.5).plain_windows(chosen)
    assert coarse.shape == (1, 3, 64, 64)
    # At half the scale the middle 32 px show what 64 px did.
    half = torch.nn.functional.avg_pool2d(torch.from_numpy(window).permute(2, 0, 1)[None], 2)[0]
    assert float((coarse[0, :, 16:48, 16:48] - half).abs().mean()) < 12


def test_a_turned_or_mirrored_window_has_the_same_probability() -> None:
    torch.manual_seed(0)
    graph = VerifierGraph([Verifier("micro"), Verifier("micro")])
    window = torch.randint(0, 256, (1, WINDOW_PX, WINDOW_PX, 3), dtype=torch.uint8)
    views = torch.cat([window, window.rot90(1, (1, 2)), window.flip(2)])
    with torch.inference_mode():
        together, alone = graph(views), graph(window)
    torch.testing.assert_close(together, together[:1].expand(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=0)


def test_a_net_of_a_narrower_window_sees_the_middle_of_the_widest() -> None:
    torch.manual_seed(0)
    narrow, wide = Verifier("micro"), Verifier("micro", window_px=96)
    graph = VerifierGraph([narrow, wide], views=1)
    windows = torch.randint(0, 256, (3, 96, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = graph(windows)
        apart = [
            VerifierGraph([net], views=1)(part) for net, part in ((narrow, windows[:, 16:80, 16:80]), (wide, windows))
        ]
    assert graph.window_px == 96
    torch.testing.assert_close(together.logit(), (apart[0].logit() + apart[1].logit()) / 2, atol=1e-5, rtol=0)


def test_what_lies_outside_the_disc_is_not_seen() -> None:
    torch.manual_seed(0)
    net = Verifier("micro").eval()
    window = torch.full((1, 3, WINDOW_PX, WINDOW_PX), 120.0)
    marked = window.clone()
    marked[:, :, :6, :6] = 0
    with torch.inference_mode():
        torch.testing.assert_close(net(window), net(marked))


def test_look_alikes_may_be_a_class_of_their_own() -> None:
    net = Verifier("micro", classes=3).train()
    images, labels = torch.rand((3, 3, WINDOW_PX, WINDOW_PX)) * 255, torch.eye(3)
    assert torch.isfinite(net(images, labels)["cross_entropy"])
    outputs = torch.tensor([[2.0, 1.0, 0.0]])
    torch.testing.assert_close(figure_logit(outputs).sigmoid(), outputs.softmax(1)[:, 0])
    with pytest.raises(ValueError, match="labels"):
        net(images)


def test_a_round_of_mining_draws_more_of_what_is_taken_for_a_figure(data: TrainingData) -> None:
    recipe = parse_recipe({**RECIPE, "mining": {"at": [0, 2], "cap": 0.8, "look_alikes": 2.0}}, "here")
    assert isinstance(recipe, VerifierRecipe)
    task = recipe.task(recipe.build(), data)
    assert task.renewal is not None
    assert list(task.renewal.steps) == [0, 2]
    said = task.renewal.weigh(task.model.eval())
    windows = task.samples.draw.__self__  # type: ignore[attr-defined]
    assert len(said) == len(windows.candidates)
    others = np.flatnonzero(windows.candidates.label == 2)
    taken = torch.zeros(len(said))
    taken[others[0]] = 0.9
    task.renewal.use(taken)
    assert windows.weights[others[0]] == pytest.approx(0.83)
    assert windows.weights[others[1]] == pytest.approx(0.03)
    alike = np.flatnonzero(windows.candidates.label == 1)
    assert windows.weights[alike[0]] == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"speed": 2}, "speed: unknown; verifier recipes have"),
        ({"classes": ["other", "figure"]}, "give figure first"),
        ({"draw": [{"label": "figure", "count": 3}]}, "something that is none"),
        ({"geometry": {"window_px": 200}}, "geometry.window_px"),
        ({"backbone": "resnet51"}, "no trunk resnet51; there are"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_recipe({**RECIPE, **values}, "here")


def test_what_the_recipe_draws_must_be_there(data: TrainingData) -> None:
    recipe = parse_recipe(
        {**RECIPE, "draw": [{"label": "figure", "count": 1, "stores": ["nowhere"]}, {"label": "other", "count": 1}]},
        "x",
    )
    with pytest.raises(ValueError, match="draws figures in nowhere, and the data hold none"):
        recipe.task(recipe.build(), data)
