"""The triage net, judged on patients that it never saw, and released with what the judgement says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from serving.core.modelcard import load_card
from serving.datasets.store import Annotation, Dataset, Picture, write_store
from serving.synthetic.field import generate_field
from tests.quick_models import write_quick_models
from training.cli.find_figures import command as find_figures_command
from training.engine.distributed import Process
from training.evaluation.cascade_figures import version_folders
from training.evaluation.fast_mode import compare_modes
from training.evaluation.found_figures import FoundFigures, find_figures
from training.evaluation.mode_comparison import ModeComparison
from training.evaluation.triage import TriageJudgement, choose_threshold, judge_triage, triage_pictures
from training.evaluation.triage_figure import draw_triage
from training.export.triage_release import release_triage
from training.recipes.runs import RunRequest, train_run

SIDE = 1030
OVERRIDES = """
backbone = "micro"
tiles = 8
batch = 4
figures = 0.0
around_figures = 0.6
anywhere = 0.4
precision = "float32"
"""


def _picture(folder: Path, name: str, seed: int) -> Picture:
    field = generate_field(seed=seed, width=SIDE, height=SIDE, mitoses_per_mm2=120)
    Image.fromarray(field.pixels).save(folder / f"{name}.png")
    figures = [
        Annotation(box=(box[0], box[1], box[2], box[3]), label="mitotic figure", agreement=1)
        for box in field.mitotic_figures.tolist()
    ]
    return Picture(
        id=name,
        path=f"{name}.png",
        width=SIDE,
        height=SIDE,
        mpp=0.25,
        slide=name,
        patient=f"case/{name}",
        annotations=tuple(figures),
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three cases of one generated field."""
    folder = tmp_path_factory.mktemp("fields")
    pictures = tuple(_picture(folder, name, seed) for seed, name in enumerate("abc", 50))
    return Dataset(name="fields", format="tests", licence="none", root=str(folder), pictures=pictures)


@pytest.fixture(scope="module")
def runs(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run without each case, and one of all."""
    folder = tmp_path_factory.mktemp("runs")
    write_store(dataset, folder / "fields.json")
    (folder / "tiny.toml").write_text(OVERRIDES)
    found = []
    for name, left in (("1", ("case/a",)), ("2", ("case/b", "case/c")), ("all", ())):
        request = RunRequest(
            "triage",
            (folder / "fields.json",),
            overrides=folder / "tiny.toml",
            initial="none",
            validation=0,
            test_patients=left,
        )
        train_run(request, folder / name, Process(0, 1, torch.device("cpu")), say=lambda _: None)
        found.append(folder / name)
    return found


@pytest.fixture(scope="module")
def judgement(runs: list[Path], dataset: Dataset) -> TriageJudgement:
    return judge_triage(runs[:2], [dataset], wanted=0.9, draws=20, say=lambda _: None)


def test_each_picture_is_judged_at_the_threshold_of_the_other_folds(
    judgement: TriageJudgement, dataset: Dataset
) -> None:
    every, source = judgement.sources
    assert (every.pictures, every.figures) == (3, sum(len(p.boxes()) for p in dataset))
    assert source.kept == every.kept
    assert every.mm2 == pytest.approx(3 * (SIDE * 0.25e-3) ** 2, abs=1e-4)
    assert len(set(judgement.thresholds)) == 2
    kept, chosen = ([getattr(point, name) for point in judgement.curve] for name in ("kept", "chosen"))
    assert kept == sorted(kept, reverse=True)
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[0] == 1


def test_runs_that_cannot_judge_are_refused(runs: list[Path], dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="at least two runs"):
        judge_triage(runs[:1], [dataset])
    with pytest.raises(ValueError, match="patient case/a is left out by two runs"):
        judge_triage([runs[0], runs[0]], [dataset], say=lambda _: None)
    with pytest.raises(ValueError, match="was seen by every run"):
        judge_triage([runs[0], runs[2]], [dataset], say=lambda _: None)


def test_a_threshold_keeps_the_share_that_is_wanted() -> None:
    rng = np.random.default_rng(4)
    figures = rng.random(200).astype(np.float32)
    for wanted in (1.0, 0.995, 0.9, 0.5):
        threshold = choose_threshold(figures, wanted=wanted)
        assert (figures >= threshold).mean() >= wanted
        assert (figures > threshold).mean() < wanted


def test_a_threshold_keeps_what_the_cascade_finds(
    runs: list[Path], dataset: Dataset, judgement: TriageJudgement, tmp_path: Path
) -> None:
    folders = version_folders(write_quick_models(tmp_path), "0.0.1")
    found = find_figures([dataset], folders=folders, provider="CPUExecutionProvider", say=lambda _: None)
    assert [(p.store, p.picture, p.figures) for p in found.pictures] == [
        ("fields", p.id, len(p.boxes())) for p in dataset
    ]
    by_hand = triage_pictures(runs[:2], [dataset], say=lambda _: None)
    plainest = [int(p.figures.argmax()) for p in by_hand]
    # Where the cascade finds the plainest figure of each picture alone, that is what the threshold keeps.
    pictures = {p.picture: p for p in found.pictures}
    chosen = [pictures[name].model_copy(update={"found": [n]}) for name, n in zip("abc", plainest, strict=True)]
    kept = judge_triage(
        runs[:2],
        [dataset],
        wanted=1.0,
        found=found.model_copy(update={"pictures": chosen}),
        draws=20,
        say=lambda _: None,
    )
    highest = [float(p.figures.max()) for p in by_hand]
    assert kept.thresholds == [min(highest[1:]), highest[0]]
    assert kept.threshold == min(highest)
    assert kept.sources[0].found == 3
    for point in kept.curve:
        assert point.found_kept == pytest.approx(sum(point.probability <= p for p in highest) / 3)
    draw_triage(kept, tmp_path / "curve.png")
    card = release_triage(runs[2], kept, version="1.0.0", models=tmp_path / "new", say=lambda _: None)
    assert card.triage_threshold is not None
    assert "of the figures that reg-ns 0.0.1, det 0.0.1 find" in card.triage_threshold.how_chosen
    assert "of 3 that are found" in card.triage_threshold.achieved
    former = found.model_copy(update={"pictures": [found.pictures[0].model_copy(update={"figures": 1})]})
    with pytest.raises(ValueError, match="picture a of fields had 1 figures when it was scored"):
        judge_triage(runs[:2], [dataset], found=former, say=lambda _: None)
    nothing = found.model_copy(update={"pictures": [p.model_copy(update={"found": []}) for p in found.pictures]})
    with pytest.raises(ValueError, match="fewer than two folds hold figures"):
        judge_triage(runs[:2], [dataset], found=nothing, say=lambda _: None)


def test_a_release_states_the_judgement_and_loads(
    judgement: TriageJudgement, runs: list[Path], dataset: Dataset, tmp_path: Path
) -> None:
    release_triage(runs[2], judgement, version="1.0.0", models=tmp_path, say=lambda _: None)
    card = load_card(tmp_path / "triage" / "1.0.0")
    assert card.triage_threshold is not None
    assert card.triage_threshold.probability == judgement.threshold
    assert "fields_figures_kept" in card.figures
    assert any("3 pictures of 3 patients" in source.name for source in card.data)
    with pytest.raises(FileExistsError, match="versions never change"):
        release_triage(runs[2], judgement, version="1.0.0", models=tmp_path)
    with pytest.raises(ValueError, match=r"version of the form 1\.2\.3"):
        release_triage(runs[2], judgement, version="new", models=tmp_path)


def test_figures_are_found_by_models_of_different_releases(dataset: Dataset, tmp_path: Path) -> None:
    models, store, out = tmp_path / "models", tmp_path / "fields.json", tmp_path / "found.json"
    for version in ("0.0.1", "0.0.2"):
        write_quick_models(models, version)
    write_store(dataset, store)
    arguments = ["0.0.1", "--keep", "det=0.0.2", "--data", str(store), "--models", str(models), "--every", "2"]
    result = CliRunner().invoke(find_figures_command, [*arguments, "--out", str(out)])
    assert result.exit_code == 0, result.output
    found = FoundFigures.model_validate_json(out.read_text())
    assert found.models == ["reg-ns 0.0.1", "det 0.0.2"]
    assert str(out) in result.output
    result = CliRunner().invoke(find_figures_command, [*arguments, "--keep", "det=0.0.3", "--out", str(out)])
    assert isinstance(result.exception, FileNotFoundError)


def test_the_curve_is_drawn(judgement: TriageJudgement, tmp_path: Path) -> None:
    assert {point.found_kept for point in judgement.curve} == {None}
    draw_triage(judgement, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert min(picture.size) > 400


def test_a_triage_net_that_chooses_all_costs_a_cascade_nothing(
    judgement: TriageJudgement, runs: list[Path], dataset: Dataset, tmp_path: Path
) -> None:
    folders = version_folders(write_quick_models(tmp_path), "0.0.1")

    def compare(thresholds: list[float], found: FoundFigures | None = None) -> ModeComparison:
        stated = judgement.model_copy(update={"thresholds": thresholds})
        return compare_modes(
            runs[:2],
            stated,
            [dataset],
            folders=folders,
            provider="CPUExecutionProvider",
            found=found,
            draws=20,
            say=lambda _: None,
        )

    whole = compare([0.0, 0.0])
    every = whole.sources[0]
    assert (every.pictures, every.figures) == (3, sum(len(p.boxes()) for p in dataset))
    assert every.found_exact > 0
    assert (every.kept.value, every.difference.value, every.f1_exact) == (1, 0, every.f1_fast)
    exact = find_figures([dataset], folders=folders, provider="CPUExecutionProvider", say=lambda _: None)
    again = compare([0.0, 0.0], exact)
    assert [s.model_copy(update={"processor_s_exact": 0, "processor_s_fast": 0}) for s in again.sources] == [
        s.model_copy(update={"processor_s_exact": 0, "processor_s_fast": 0}) for s in whole.sources
    ]
    with pytest.raises(ValueError, match="not among those of find-figures"):
        compare([0.0, 0.0], exact.model_copy(update={"pictures": exact.pictures[:1]}))
    with pytest.raises(ValueError, match="with CPU-int8, not of"):
        compare([0.0, 0.0], exact.model_copy(update={"provider": "CPU-int8"}))
    card = release_triage(
        runs[2], judgement, version="1.0.0", models=tmp_path / "released", comparison=whole, say=lambda _: None
    )
    assert f"keeps, all: 1.000 [1.000, 1.000] of {every.found_exact} figures" in card.evaluation
    none = compare([1.0, 1.0]).sources[0]
    assert (none.kept.value, none.f1_fast) == (0, 0)
    with pytest.raises(ValueError, match="the judgement is of 1, 2: give those runs in that order"):
        compare_modes(runs[1::-1], judgement, [dataset], folders=folders, provider="CPUExecutionProvider")
