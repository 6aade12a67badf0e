"""What cards say of where weights come from."""

from pathlib import Path

import pytest

from training.export.origins import data_of_runs, recipe_digest
from training.recipes.reading import RECIPE_FILE, change_recipe, load_recipe
from training.recipes.record import RECORD_FILE, RunRecord, StoreRecord


def _store(name: str, pictures: int) -> StoreRecord:
    return StoreRecord(
        name=name, format="tests", licence=f"of {name}", pictures=pictures, figures=3, look_alikes=2, patients=1
    )


@pytest.mark.parametrize(
    ("initial", "said"),
    [
        ("weights of /home/somebody/runs/first/model.pt", "weights of run first"),
        ("net.safetensors, ResNet v1, trunk of runs/first/model.pt", "net.safetensors, ResNet v1, trunk of run first"),
        ("random", "random"),
    ],
)
def test_a_card_names_runs_and_stores_and_no_place_on_a_disk(tmp_path: Path, initial: str, said: str) -> None:
    record = RunRecord(
        stores=(_store("fields", 4), _store("held-out", 0)),
        train=("a",),
        validation=(),
        test=("b",),
        initial=initial,
        initial_data=(_store("crops", 9),),
        code="mitoserve 0, training 0",
    )
    recipe = load_recipe("verifier")
    (tmp_path / RECORD_FILE).write_text(record.model_dump_json())
    (tmp_path / RECIPE_FILE).write_text(recipe.model_dump_json(indent=1))
    first, *stores = data_of_runs([tmp_path])
    assert first.use == f"initial weights: {said}"
    assert recipe_digest(recipe) in first.name
    assert [source.name.split()[0] for source in stores] == ["crops", "fields"]
    assert "4 pictures of 1 patients, 3 figures, 2 look-alikes" in stores[1].name
    assert stores[1].licence == "of fields"


def test_seeds_share_a_recipe() -> None:
    recipe = load_recipe("verifier")
    seeded = change_recipe(recipe, {"seed": recipe.seed + 1})
    assert recipe_digest(recipe) != recipe_digest(seeded)
    assert recipe_digest(recipe, of_any_seed=True) == recipe_digest(seeded, of_any_seed=True)
    longer = change_recipe(recipe, {"dropout": 0.1})
    assert recipe_digest(recipe, of_any_seed=True) != recipe_digest(longer, of_any_seed=True)
