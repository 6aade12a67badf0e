from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.datasets.store import read_store
from tests.unit.serving.datasets.pictures import picture
from training.labels.labelers import CROWD_LABELERS, EXPERT_LABELERS, answer_parts, draw_boxes
from training.labels.records import BinaryRecord, BoxesRecord, read_records
from training.labels.simulated import Campaign, simulate

TILE = picture([], name="a")
FIGURES = np.asarray([[100, 100, 130, 140], [960, 970, 1000, 1000]] * 200, np.float32)
LOOKALIKES = np.asarray([[400, 300, 440, 330]] * 400, np.float32)


def test_error_rates_and_jitter_are_those_stated() -> None:
    labelers = replace(CROWD_LABELERS, reviewers=20, jitter_px=2.0)
    drawn = [
        np.asarray(look.boxes) for look in draw_boxes(TILE, FIGURES, LOOKALIKES, labelers, np.random.default_rng(0))
    ]
    assert len(drawn) == 20
    inner = np.concatenate([boxes[(boxes[:, 0] < 200)] for boxes in drawn])
    fooled = np.concatenate([boxes[(boxes[:, 0] > 300) & (boxes[:, 0] < 500)] for boxes in drawn])
    assert len(inner) / (20 * 200) == pytest.approx(labelers.finds, abs=0.03)
    assert len(fooled) / (20 * 400) == pytest.approx(labelers.fooled, abs=0.02)
    assert np.std(inner - FIGURES[0], axis=0) == pytest.approx([2.0] * 4, rel=0.1)
    everything = np.concatenate(drawn)
    assert everything.min() >= 0
    assert everything.max() <= 1000
    assert (everything[:, 2:] > everything[:, :2]).all()


def test_reviewers_are_drawn_from_the_group_without_repeats() -> None:
    looks = draw_boxes(TILE, FIGURES[:1], LOOKALIKES[:0], CROWD_LABELERS, np.random.default_rng(1))
    names = [look.labeler for look in looks]
    assert len(set(names)) == len(names) == CROWD_LABELERS.reviewers
    with pytest.raises(ValueError, match="8 of 5 labelers"):
        replace(EXPERT_LABELERS, reviewers=8)
    with pytest.raises(ValueError, match="chances"):
        replace(EXPERT_LABELERS, finds=1.2)


def test_answers_say_which_parts_show_a_figure() -> None:
    sure = replace(EXPERT_LABELERS, finds=1.0, fooled=0.0)
    answers = answer_parts(TILE, FIGURES[:2], LOOKALIKES[:1], sure, np.random.default_rng(0))
    assert len(answers) == 16 * 5
    assert {a.tile for a in answers if a.answer} == {"a@0,0", "a@750,750"}
    assert {a.tile_px for a in answers} == {250}
    medians = np.median([a.seconds for a in answers if a.seconds])
    assert medians == pytest.approx(sure.seconds_binary, rel=0.3)


def test_a_campaign_writes_what_labeling_leaves(tmp_path: Path) -> None:
    records = simulate(Campaign(slides=1, tiles=1, seed=3, mitoses_per_mm2=60, lookalikes_per_mm2=60), tmp_path)
    tiles, truth = (read_store(tmp_path / f"{name}-store.json") for name in ("tiles", "truth"))
    assert read_records(tmp_path / "records.csv", tiles.pictures) == records
    assert [p.labelled for p in tiles] == [False]
    assert len(truth.pictures[0].boxes()) > 0
    assert len(truth.pictures[0].boxes("look-alike")) > 0
    assert Image.open(Path(tiles.root) / tiles.pictures[0].path).size == (1000, 1000)
    boxes = [r for r in records if isinstance(r, BoxesRecord)]
    assert sum(r.group == "crowd" for r in boxes) == CROWD_LABELERS.reviewers
    assert sum(r.group == "expert" for r in boxes) == 5
    assert sum(isinstance(r, BinaryRecord) for r in records) == 16 * 5


def test_an_empty_campaign_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one slide"):
        Campaign(slides=0)
