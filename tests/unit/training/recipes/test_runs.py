"""What a run may go on from, and what it states of itself."""

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
import torch

from serving.datasets.store import Dataset, write_store
from tests.unit.serving.datasets.pictures import picture
from training.data.combined_stores import combine_datasets, find_store_name
from training.data.sampling import Split
from training.engine.distributed import Process
from training.recipes.reading import change_recipe, claim_folder, list_shipped_recipes, load_recipe
from training.recipes.record import claim_record, make_record, read_record
from training.recipes.registry import Start
from training.recipes.runs import RunRequest, resolve_recipe, train_run, weights_without
from training.recipes.schemas import PATH, schema_text
from training.recipes.sub_tiles import SubTileRecipe


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """The weights' path of a run of Reg-NS whose net is small."""
    values = {"backbone": "micro", "side": 125, "initialisation": "none"}
    claim_folder(tmp_path, change_recipe(load_recipe("Reg-NS", "paper"), values))
    return tmp_path / "model.pt"


def _store(name: str, *patients: str) -> Dataset:
    pictures = tuple(picture([(10, 10, 40, 40)], name=f"{p}-0", patient=p) for p in patients)
    return Dataset(name=name, format="csv", licence=f"licence of {name}", root=f"/data/{name}", pictures=pictures)


def test_what_fixes_the_shape_of_the_weights_comes_from_the_run_before(start: Path) -> None:
    recipe = resolve_recipe(RunRequest("Reg", (), "paper", start=Start(run=start)))
    assert isinstance(recipe, SubTileRecipe)
    assert (recipe.model, recipe.backbone, recipe.side, recipe.initialisation) == ("Reg", "micro", 125, "none")


@pytest.mark.parametrize("model", ["Det", "Det-NS-WL", "BC"])
def test_a_start_of_another_kind_is_refused(start: Path, model: str) -> None:
    with pytest.raises(ValueError, match=f"{model} cannot start from a run of Reg-NS"):
        resolve_recipe(RunRequest(model, (), "paper", start=Start(run=start)))


def test_recipes_are_found_by_name_or_file(tmp_path: Path) -> None:
    cascade = [f"{model}{data}" for model in ("detector", "screening", "verifier") for data in ("", "-crops")]
    assert list_shipped_recipes() == sorted(["atypia", "triage", "verifier-wide", *cascade])
    for name in list_shipped_recipes():
        assert load_recipe(name).learning_rate > 0
    path = tmp_path / "mine.toml"
    path.write_text('kind = "screening"\ntiles = 8\nbatch = 2\nlearning_rate = 1e-3\nfigures = 0.5\nglass = 0.0\n')
    assert load_recipe(str(path)).batch == 2
    path.write_text('kind = "screening"\ntiles = 8\nbatch = 2\nspeed = 1\n')
    with pytest.raises(ValueError, match=r"mine\.toml"):
        load_recipe(str(path))
    path.write_text('kind = "screaming"\n')
    with pytest.raises(ValueError, match="no kind of recipe screaming; there are"):
        load_recipe(str(path))
    with pytest.raises(ValueError, match="no model class or recipe Regg"):
        load_recipe("Regg")


def test_a_run_that_leaves_a_patient_alone_starts_from_no_weights_that_saw_them(tmp_path: Path) -> None:
    crops, fields = _store("crops", "p", "q"), _store("fields", "p", "r")
    for store in (crops, fields):
        write_store(store, tmp_path / f"{store.name}.json")
    before = tmp_path / "before"
    before.mkdir()
    values = {"backbone": "micro", "side": 125, "initialisation": "none"}
    claim_folder(before, change_recipe(load_recipe("Reg", "paper"), values))
    claim_record(before, make_record([crops], Split(combine_datasets([crops]).pictures, (), ()), initial="random"))
    request = RunRequest(
        "Reg",
        (tmp_path / "fields.json",),
        "paper",
        start=Start(run=before / "model.pt"),
        validation=0,
        test_patients=("p",),
    )
    with pytest.raises(ValueError, match="the run to start from saw p, which this one leaves alone"):
        train_run(request, tmp_path / "after", Process(0, 1, torch.device("cpu")))
    assert not (tmp_path / "after").exists()


def test_stores_are_one_data_set_and_keep_their_patients() -> None:
    both = combine_datasets([_store("a", "p", "q"), _store("b", "q")])
    assert [(find_store_name(p), p.patient, p.id, p.path) for p in both] == [
        ("a", "p", "a/p-0", "/data/a/p-0.png"),
        ("a", "q", "a/q-0", "/data/a/q-0.png"),
        ("b", "q", "b/q-0", "/data/b/q-0.png"),
    ]
    assert both.licence == "a: licence of a; b: licence of b"
    with pytest.raises(ValueError, match="two stores are called a"):
        combine_datasets([_store("a", "p"), _store("a", "q")])


def test_a_run_states_its_data_and_whom_it_saw_and_who_starts_from_it_saw_them_too(tmp_path: Path) -> None:
    stores = [_store("a", "p", "q", "r")]
    (p, q, r) = combine_datasets(stores).pictures
    first = make_record(stores, Split((p,), (q,), (r,)), initial="random")
    assert first.seen == {"p", "q"}
    assert (first.stores[0].pictures, first.stores[0].figures, first.stores[0].licence) == (1, 1, "licence of a")
    later = make_record(stores, Split((r,), (), ()), initial="weights", before=[first])
    assert later.seen == {"p", "q", "r"}
    assert later.initial_data == first.stores
    assert later.initial == "weights; that run from random"
    claim_record(tmp_path, first)
    claim_record(tmp_path, first)
    assert read_record(tmp_path) == first
    with pytest.raises(ValueError, match="run on other patients"):
        claim_record(tmp_path, later)


def test_a_fold_is_preferred_and_a_run_that_saw_the_patient_is_refused(tmp_path: Path) -> None:
    stores = [_store("a", "p", "q", "r")]
    (p, q, r) = combine_datasets(stores).pictures
    for run, split in ((tmp_path, Split((p,), (r,), (q,))), (tmp_path / "without-p", Split((q,), (), (p,)))):
        claim_record(run, make_record(stores, split, initial="random"))
        (run / "model.pt").write_bytes(b"weights")
    assert weights_without(tmp_path, "p") == tmp_path / "without-p"
    assert weights_without(tmp_path, "q") == tmp_path
    with pytest.raises(ValueError, match="never saw r"):
        weights_without(tmp_path, "r")
    with pytest.raises(FileNotFoundError, match="not finished"):
        weights_without(tmp_path / "nothing", "p")


def test_the_published_schema_is_that_of_the_recipes() -> None:
    assert PATH.read_text() == schema_text()
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for name in list_shipped_recipes():
        validator.validate(load_recipe(name).model_dump(mode="json"))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**load_recipe("verifier").model_dump(mode="json"), "speed": 2})
