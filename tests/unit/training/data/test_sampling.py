import numpy as np
import pytest

from serving.datasets.store import Annotation
from tests.unit.serving.datasets.pictures import picture
from training.data.sampling import Negatives, Split, epoch, split_by_patient, training_events
from training.data.sub_tiles import SubTileTable, make_sub_tiles

BOXES = [(float(x), 400.0, float(x) + 30, 430.0) for x in range(60, 960, 250)]


@pytest.fixture(scope="module")
def table() -> SubTileTable:
    return make_sub_tiles([picture(BOXES), picture([(480, 700, 510, 730)], name="b", patient="Q")])


def test_event_first_gives_one_sub_tile_an_event_that_holds_it(table: SubTileTable) -> None:
    events = training_events(table, limit=None, seed=0)
    drawn = epoch(table, events, Negatives(count=0), seed=0, number=0)
    assert len(drawn) == len(events) == 5
    for event in events:
        assert set(table.sub_tile[table.event == event]) & set(drawn)


def test_an_event_moves_about_from_epoch_to_epoch(table: SubTileTable) -> None:
    events = np.asarray([4], np.int32)
    seen = {int(epoch(table, events, Negatives(count=0), seed=0, number=n)[0]) for n in range(60)}
    assert seen == set(table.sub_tile[table.event == 4].tolist())


def test_naive_aggregation_takes_every_sub_tile_that_holds_an_event(table: SubTileTable) -> None:
    events = training_events(table, limit=None, seed=0)
    drawn = epoch(table, events, Negatives(count=0), seed=0, number=0, strategy="naive aggregation")
    assert sorted(drawn) == sorted(np.unique(table.sub_tile))


@pytest.mark.parametrize(("negatives", "expected"), [(Negatives(ratio=4.0), 20), (Negatives(count=7), 7)])
def test_negatives_come_by_ratio_or_by_count(table: SubTileTable, negatives: Negatives, expected: int) -> None:
    drawn = epoch(table, training_events(table, limit=None, seed=0), negatives, seed=0, number=0)
    assert table.negative[drawn].sum() == expected
    assert len(drawn) == 5 + expected


def test_the_pool_of_negatives_stays_unless_redrawn(table: SubTileTable) -> None:
    events = training_events(table, limit=None, seed=0)

    def pool(negatives: Negatives, number: int) -> set[int]:
        drawn = epoch(table, events, negatives, seed=3, number=number)
        return set(drawn[table.negative[drawn]].tolist())

    fixed, redrawn = Negatives(count=9), Negatives(count=9, redraw=True)
    assert pool(fixed, 0) == pool(fixed, 1)
    assert pool(redrawn, 0) != pool(redrawn, 1)


def test_ambiguous_places_give_no_negatives_where_asked() -> None:
    table = make_sub_tiles([picture(BOXES, ambiguous=((10, 10, 40, 40), (700, 700, 730, 730)))])
    events = training_events(table, limit=None, seed=0)
    most = int(table.negative.sum())
    everything = epoch(table, events, Negatives(count=most), seed=0, number=0)
    assert table.ambiguous[everything].any()
    sure = Negatives(count=most - 5, exclude_ambiguous=True)
    assert table.ambiguous.sum() == 5
    assert not table.ambiguous[epoch(table, events, sure, seed=0, number=0)].any()
    with pytest.raises(ValueError, match="negative sub-tiles asked for"):
        epoch(table, events, Negatives(count=most, exclude_ambiguous=True), seed=0, number=0)


def test_fewer_events_are_part_of_more_of_the_same_seed(table: SubTileTable) -> None:
    assert set(training_events(table, limit=2, seed=1)) <= set(training_events(table, limit=4, seed=1))
    with pytest.raises(ValueError, match="9 events asked for, 5 exist"):
        training_events(table, limit=9, seed=1)


def test_too_many_negatives_are_refused(table: SubTileTable) -> None:
    with pytest.raises(ValueError, match="10000 negative sub-tiles asked for"):
        epoch(table, training_events(table, limit=None, seed=0), Negatives(count=10_000), seed=0, number=0)
    with pytest.raises(ValueError, match="one of the two"):
        Negatives()


def test_splits_keep_patients_apart() -> None:
    pictures = [picture([], name=f"{p}{i}", patient=p) for p in "ABCDEFGHIJ" for i in range(3)]
    split = split_by_patient(pictures, validation=0.2, test=0.2, seed=0)
    patients = [{p.patient for p in part} for part in (split.train, split.validation, split.test)]
    assert [len(p) for p in patients] == [6, 2, 2]
    assert len(set.union(*patients)) == 10
    assert split == split_by_patient(pictures, validation=0.2, test=0.2, seed=0)
    named = split_by_patient(pictures, validation=0.1, test=0.0, seed=0, test_patients=["C"])
    assert {p.patient for p in named.test} == {"C"}


def test_a_patient_on_both_sides_is_refused() -> None:
    a, b = picture([], name="a", patient="P"), picture([], name="b", patient="P")
    with pytest.raises(ValueError, match=r"\['P'\] are in train and in test"):
        Split((a,), (), (b,))
    with pytest.raises(ValueError, match="none is left"):
        split_by_patient([a, b], validation=0.5, test=0.5, seed=0)


def test_a_share_of_the_negatives_holds_look_alikes_again_and_again(table: SubTileTable) -> None:
    alike = Annotation(box=(440, 540, 470, 570), label="look-alike", agreement=0)
    shown = picture(BOXES[:1]).model_copy(update={"annotations": (*picture(BOXES[:1]).annotations, alike)})
    hard = make_sub_tiles([shown])
    assert hard.hard.sum() == 4
    assert hard.negative[hard.hard].all()
    drawn = epoch(hard, np.asarray([0], np.int32), Negatives(count=20, hard_share=0.5), seed=0, number=0)
    assert hard.hard[drawn].sum() >= 10
    assert len(set(drawn[hard.hard[drawn]].tolist())) == 4
    with pytest.raises(ValueError, match="no negative sub-tile holds a labelled look-alike"):
        epoch(table, np.asarray([0], np.int32), Negatives(count=20, hard_share=0.5), seed=0, number=0)
