import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.geometry import Region
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.datasets.store import read_store
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, make_cards, plant, tissue
from training.labels.tiles.cutting import ChosenSlide, cut_tiles, write_table, write_unlabelled_store
from training.labels.tiles.ranking import RankedSlide, rank_tiles
from training.labels.tiles.selection import expert_reasons


class DotScreener(DotDetector):
    """The dots' Reg-NS alone."""

    @property
    def card(self) -> ModelCard:
        return make_cards()[0]


@pytest.fixture
def slide() -> ArraySlide:
    """Tissue of 3 x 2 whole tiles and a border of 300 px; the last tile of the first row is glass."""
    pixels = tissue(3300, 2300)
    pixels[:1000, 2000:3000] = 255
    for x, y in ((500, 500), (520, 560), (1500, 1500)):
        plant(pixels, x, y)
    # One that the seam between two tiles cuts: each shows half.
    plant(pixels, 1000, 1200)
    return ArraySlide(pixels, mpp=0.25, name="TCGA-A2-A0YE-01Z-00-DX1.svs")


def rank(slide: ArraySlide, *, mpp: float | None = None) -> RankedSlide:
    return rank_tiles(slide, DotScreener(), ScoringOptions(mpp=mpp, min_tissue_fraction=0.5), lambda done, total: None)


def test_the_score_of_a_tile_is_its_highest_sub_tile(slide: ArraySlide) -> None:
    result = rank(slide)
    scores = {tile.tile.cell: tile.score for tile in result.tiles}
    assert scores == pytest.approx({(0, 0): 2, (1, 0): 0, (0, 1): 0.5, (1, 1): 1, (2, 1): 0})


def test_glass_is_discarded_and_tiles_cut_by_the_border_are_counted(slide: ArraySlide) -> None:
    result = rank(slide)
    assert (2, 0) not in {tile.tile.cell for tile in result.tiles}
    assert result.cut == 2 + 4
    assert all((t.tile.region.width, t.tile.region.height) == (1000, 1000) for t in result.tiles)


def test_progress_counts_to_the_end(slide: ArraySlide) -> None:
    seen: list[tuple[int, int]] = []
    rank_tiles(slide, DotScreener(), ScoringOptions(min_tissue_fraction=0.5), lambda *done: seen.append(done))
    assert seen == [(n, 5) for n in range(6)]


def test_tiles_table_and_store_agree_and_nothing_counts_as_labelled(slide: ArraySlide, tmp_path: Path) -> None:
    result = rank(slide)
    chosen = ChosenSlide(slide.name, result, expert_reasons(result.scores, top=2))
    cut_tiles(slide, chosen, tmp_path, lambda done, total: None)
    write_table([chosen], tmp_path / "tiles.csv")
    write_unlabelled_store([chosen], tmp_path, name="trial", licence="none", model="dots")

    with (tmp_path / "tiles.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(r["column"], r["row"], r["taken"]) for r in rows] == [
        ("0", "0", "top 2"),
        ("1", "0", ""),
        ("0", "1", ""),
        ("1", "1", "top 2"),
        ("2", "1", ""),
    ]
    store = read_store(tmp_path / "store.json")
    assert [p.path for p in store] == [r["file"] for r in rows if r["taken"]]
    assert not any(p.labelled or p.annotations for p in store)
    assert {(p.patient, p.mpp, p.width, p.height) for p in store} == {("TCGA-A2-A0YE", 0.25, 1000, 1000)}
    for picture in store:
        x, y = int(picture.attributes["x"]), int(picture.attributes["y"])
        pixels = np.asarray(Image.open(tmp_path / picture.path))
        assert (pixels == slide.read(Region(x, y, 1000, 1000), 1000, 1000)).all()


def test_a_slide_of_another_resolution_gives_tiles_at_the_models(slide: ArraySlide, tmp_path: Path) -> None:
    result = rank(slide, mpp=0.125)
    chosen = ChosenSlide(slide.name, result, ["all"] * len(result.tiles))
    cut_tiles(slide, chosen, tmp_path, lambda done, total: None)
    (tile, _), *_ = chosen.taken
    assert tile.tile.region.width == 2000
    assert Image.open(tmp_path / chosen.tile_path(tile)).size == (1000, 1000)
    store = write_unlabelled_store([chosen], tmp_path, name="trial", licence="none", model="dots")
    assert store.pictures[0].mpp == pytest.approx(0.25)
