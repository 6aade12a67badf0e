"""References and what recent slides are against them, from tables alone; one analysis gives real statistics."""

import math
from pathlib import Path

import pytest

from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.drift.measures import distances, make_reference
from serving.drift.statistics import SlideStatistics, collect_statistics
from serving.drift.watch import DriftMonitor, store_statistics
from serving.jobs.table import remove_rows
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from serving.store.database import Database
from serving.store.errors import NotFoundError
from serving.store.slides import SlideStore
from tests.fakes import DotDetector, make_cards, plant, tissue
from tests.samples import write_picture

CARD = make_cards()[0]
ENOUGH = 4


def slide(score: int = 0, density: int = 0, turn: float = 0.0) -> SlideStatistics:
    """One whose numbers lie in two neighbouring bins each, and whose stain is turned by so many degrees."""
    scores, densities = [0.0] * 58, [0.0] * 41
    scores[20 + score] = scores[21 + score] = densities[10 + density] = densities[11 + density] = 0.5
    colour = (math.cos(math.radians(turn)), math.sin(math.radians(turn)), 0.0)
    return SlideStatistics(
        scores=scores, mean_score=0.01, density=densities, mean_density=0.5, haematoxylin=colour, eosin=(0, 0, 1)
    )


def score(database: Database, name: str, found: SlideStatistics, *, card: ModelCard = CARD) -> None:
    with database.writing() as tx:
        store_statistics(tx, f"analysis-{name}", name, found, screening=card.sha256(), enough=ENOUGH)


@pytest.fixture
def database(store: SlideStore) -> Database:
    return store.database


@pytest.fixture
def watch(database: Database) -> DriftMonitor:
    return DriftMonitor(database, ENOUGH)


def test_the_first_slides_are_the_reference_and_none_of_the_recent(database: Database, watch: DriftMonitor) -> None:
    for number in range(ENOUGH):
        assert watch.drift(CARD).reference is None
        score(database, f"first-{number}", slide())
    known = watch.reference(CARD)
    assert known is not None
    assert (known.source, known.reference.slides) == ("first 4 slides of this server", ENOUGH)
    assert (watch.drift(CARD).recent, watch.drift(CARD).level) == (0, None)
    for number in range(ENOUGH):
        score(database, f"like-{number}", slide())
    found = watch.drift(CARD)
    assert (found.recent, found.level, found.score_gap) == (ENOUGH, "steady", 0)
    assert {m.name: m.value for m in found.measures} == pytest.approx(
        {"scores": 0, "density": 0, "haematoxylin": 0, "eosin": 0}, abs=1e-4
    )


def test_each_measure_has_its_alarm(database: Database, watch: DriftMonitor) -> None:
    watch.put(CARD, [slide(), slide(turn=2)], "golden set x", "ann")
    for number in range(2 * ENOUGH):  # the latest count
        score(database, f"s{number}", slide() if number < ENOUGH else slide(score=1, density=1, turn=9))
    levels = {m.name: m.level for m in watch.drift(CARD).measures}
    assert levels == {"scores": "alarm", "density": "alarm", "haematoxylin": "alarm", "eosin": "steady"}
    assert watch.drift(CARD).score_gap == pytest.approx(0.5)


@pytest.mark.parametrize(("turn", "level"), [(1.9, "steady"), (2.1, "watch"), (3.1, "alarm")])
def test_a_stain_is_judged_by_the_spread_of_the_references_slides(turn: float, level: str) -> None:
    narrow = make_reference([slide(), slide(turn=0.2)], "")  # a degree at the least
    found = {m.name: m.level for m in distances(narrow, make_reference([slide(turn=0.1 + turn)], ""))}
    assert found["haematoxylin"] == level
    wide = make_reference([slide(turn=-5), slide(turn=5)], "")
    assert {m.level for m in distances(wide, make_reference([slide(turn=turn)], ""))} == {"steady"}


def test_what_somebody_chose_comes_before_the_card_and_that_before_the_first_slides(
    database: Database, watch: DriftMonitor
) -> None:
    stating = CARD.model_copy(update={"drift_reference": make_reference([slide(score=5)], "training slides")})
    with pytest.raises(NotFoundError, match="was scored"):
        watch.take(CARD, latest=5, actor="ann")
    for number in range(ENOUGH):
        score(database, f"s{number}", slide())
    of_card = watch.reference(stating)
    assert of_card is not None
    assert of_card.source == "the model card"
    assert watch.drift(stating).level == "alarm"
    taken = watch.take(CARD, latest=2, actor="ann")
    assert taken.source == "latest 2 slides of this server"
    assert watch.reference(stating) == taken
    assert watch.drift(stating).recent == 0, "nothing came since"


def test_a_slide_counts_once_and_goes_with_its_analysis(database: Database, watch: DriftMonitor) -> None:
    watch.put(CARD, [slide()], "golden set x", "ann")
    for _ in range(3):
        score(database, "same", slide())
    score(database, "other", slide())
    other_models = CARD.model_copy(update={"files": {"model.onnx": "1" * 64}})
    score(database, "theirs", slide(), card=other_models)
    assert watch.drift(CARD).recent == 2
    with database.writing() as tx:
        remove_rows(tx, ["analysis-other"])
    assert watch.drift(CARD).recent == 1


def test_an_analysis_has_statistics_without_reading_its_slide_again(tmp_path: Path) -> None:
    pixels = tissue(1000, 800)
    plant(pixels, 300, 300)
    with open_slide(write_picture(tmp_path / "a.png", pixels)) as opened:
        analysis = score_slide(opened, DotDetector(), ScoringOptions(mpp=0.25))
    found = collect_statistics(analysis)
    assert found is not None
    assert sum(found.scores) == pytest.approx(1)
    assert sum(found.density) == pytest.approx(1)
    plain = -sum(math.log((v + 1) / 256) for v in (225, 170, 205)) / 3
    assert found.mean_density == pytest.approx(plain, abs=0.01)
    assert found.haematoxylin is None, "one colour is no two stains"
