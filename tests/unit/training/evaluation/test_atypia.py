"""The classifier of atypical figures: what it learns from, and how it is judged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from serving.datasets.store import Annotation, Dataset, Picture, write_store
from training.data.combined_stores import combine_datasets
from training.data.figure_kinds import find_expert_share, read_figure_kinds
from training.engine.distributed import Process
from training.evaluation.atypia import balanced_accuracy, choose_threshold, judge_atypia
from training.recipes.atypia import AtypiaRecipe
from training.recipes.reading import parse_recipe
from training.recipes.runs import RunRequest, train_run

OVERRIDES = """
backbone = "micro"
steps = 3
batch = 1
precision = "float32"
"""


def _crop(folder: Path, name: str, kind: str, case: str, **words: str) -> Picture:
    rng = np.random.default_rng(len(name) + ord(name[0]))
    pixels = rng.normal(200, 8, (128, 128, 3)).clip(0, 255).astype(np.uint8)
    wide = 30 if kind == "atypical" else 8
    pixels[56:72, 64 - wide : 64 + wide] = 70
    Image.fromarray(pixels).save(folder / f"{name}.png")
    figure = Annotation(box=(39, 39, 89, 89), label="mitotic figure", agreement=1)
    return Picture(
        id=name,
        path=f"{name}.png",
        width=128,
        height=128,
        mpp=0.25,
        slide=case,
        patient=case,
        annotations=(figure,),
        attributes={"kind": kind, **words},
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four cases of four crops, half of them atypical."""
    crops = tuple(
        _crop(tmp_path, f"{case}{i}", "atypical" if i % 2 else "normal", f"case/{case}")
        for case in "abcd"
        for i in range(4)
    )
    return Dataset(name="crops", format="tests", licence="none", root=str(tmp_path), pictures=crops)


def test_a_crop_is_as_atypical_as_its_experts_say(tmp_path: Path) -> None:
    def share(kind: str, **words: str) -> float:
        return find_expert_share(_crop(tmp_path, "a", kind, "c", **words))

    assert share("atypical") == 1
    assert share("normal") == 0
    # AMi-Br states two of three experts; where they differ, the third is of the verdict's side.
    assert share("atypical", **{"expert 1": "NMF metaphase", "expert 2": "AMF other"}) == pytest.approx(2 / 3)
    assert share("normal", **{"expert 1": "NMF metaphase", "expert 2": "AMF other"}) == pytest.approx(1 / 3)
    assert share("normal", **{f"expert {i}": "atypical" if i == 3 else "normal" for i in range(1, 6)}) == 0.2


def test_pictures_without_a_verdict_are_passed_over(dataset: Dataset) -> None:
    dataset = combine_datasets([dataset])
    bare = dataset.pictures[0].model_copy(update={"attributes": {"store": "crops"}})
    root = Path(dataset.root)
    assert len(read_figure_kinds([bare, *dataset.pictures[1:]], root)) == 15
    with pytest.raises(ValueError, match="none of 1 pictures says whether its figure is normal or atypical"):
        read_figure_kinds([bare], root)


def test_each_crop_is_judged_by_weights_that_never_saw_its_case(dataset: Dataset, tmp_path: Path) -> None:
    store, changes = tmp_path / "crops.json", tmp_path / "tiny.toml"
    write_store(dataset, store)
    changes.write_text(OVERRIDES)
    runs = []
    for fold, left in enumerate((("case/a", "case/b"), ("case/c", "case/d"))):
        out = tmp_path / f"run{fold}"
        request = RunRequest("atypia", (store,), overrides=changes, initial="none", validation=0, test_patients=left)
        train_run(request, out, Process(0, 1, torch.device("cpu")), say=lambda _: None)
        runs.append(out)
    dataset = combine_datasets([dataset])
    judgement = judge_atypia(runs, dataset, draws=20, say=lambda _: None)
    every, of_store = judgement.sources
    assert (every.source, every.crops, every.atypical) == ("all", 16, 8)
    assert of_store.balanced_accuracy == every.balanced_accuracy
    assert every.balanced_accuracy.units == 4
    assert every.auc.value is not None
    assert 0 <= every.auc.value <= 1
    assert judgement.slope > 0
    with pytest.raises(ValueError, match="patient case/a is left out by two runs"):
        judge_atypia([runs[0], runs[0]], dataset, say=lambda _: None)
    with pytest.raises(ValueError, match="at least two runs"):
        judge_atypia(runs[:1], dataset, say=lambda _: None)
    third = tmp_path / "third"
    train_run(
        RunRequest("atypia", (store,), overrides=changes, initial="none", validation=0, test_patients=("case/a",)),
        third,
        Process(0, 1, torch.device("cpu")),
        say=lambda _: None,
    )
    with pytest.raises(ValueError, match="patient case/b was seen by every run"):
        judge_atypia([third, runs[1]], dataset, say=lambda _: None)


def test_the_threshold_lies_in_the_middle_of_what_is_equally_good() -> None:
    probability, atypical = np.asarray([0.1, 0.2, 0.8, 0.9]), np.asarray([False, False, True, True])
    threshold = choose_threshold(probability, atypical)
    assert 0.45 < threshold < 0.55
    assert balanced_accuracy(probability >= threshold, atypical) == 1
    assert balanced_accuracy(np.ones(4, np.bool_), atypical) == 0.5
    assert np.isnan(balanced_accuracy(np.ones(2, np.bool_), np.ones(2, np.bool_)))


def test_a_recipe_draws_both_kinds_and_nothing_else() -> None:
    both = [{"label": "atypical figure", "count": 1}, {"label": "normal figure", "count": 1}]
    values = {"kind": "atypia", "steps": 1, "learning_rate": 1e-3}
    assert isinstance(parse_recipe({**values, "draw": both}, "here"), AtypiaRecipe)
    for draw in (both[:1], [*both, {"label": "other", "count": 1}]):
        with pytest.raises(ValueError, match="and nothing else"):
            parse_recipe({**values, "draw": draw}, "here")
