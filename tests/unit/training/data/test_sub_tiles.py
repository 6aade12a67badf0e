import numpy as np
import pytest

from serving.datasets.readers.boxes import outside
from serving.datasets.store import Annotation
from tests.unit.serving.datasets.pictures import picture
from training.data.sub_tiles import make_sub_tiles, positives


def test_a_tile_of_1000_px_has_49_sub_tiles_at_stride_125() -> None:
    table = make_sub_tiles([picture([])])
    assert len(table) == 49
    assert table.origins.min() == 0
    assert table.origins.max() == 750
    assert (np.unique(table.origins[:, 0]) == np.arange(0, 751, 125)).all()


def test_scores_are_visible_share_times_agreement_summed() -> None:
    # The first box lies whole in the sub-tile at (0, 0), the second half in it: s_t = 1 x 0.5 + 0.5 x 0.8.
    table = make_sub_tiles([picture([(10, 10, 40, 40), (235, 100, 265, 130)], agreement=[0.5, 0.8])])
    assert table.scores[0] == pytest.approx(0.9)
    assert (table.origins[0] == 0).all()


def test_an_events_sub_tiles_are_those_that_hold_some_of_it() -> None:
    table = make_sub_tiles([picture([(500, 500, 530, 530)])])
    held = {tuple(o) for o in table.origins[table.sub_tile]}
    # At 500 px a seam of the lattice runs through the corner: origins 250 end there and hold nothing.
    assert held == {(x, y) for x in (375, 500) for y in (375, 500)}
    assert (table.event == 0).all()


def test_negatives_hold_nothing_and_come_from_nowhere_that_nobody_looked() -> None:
    table = make_sub_tiles([picture([(90, 90, 120, 120)], unlabelled=((900, 900, 1000, 1000),))])
    touching = {tuple(o) for o in table.origins[~table.negative]}
    assert touching == {(0, 0), (750, 750)}


def test_ambiguous_areas_are_known_and_stay_negatives() -> None:
    table = make_sub_tiles([picture([], ambiguous=((10, 10, 40, 40),))])
    assert table.negative.all()
    assert (table.scores == 0).all()
    assert [tuple(o) for o in table.origins[table.ambiguous]] == [(0, 0)]


def test_unlabelled_and_small_pictures_give_nothing() -> None:
    table = make_sub_tiles([picture([], labelled=False), picture([], name="b", size=(200, 900)), picture([], name="c")])
    assert set(table.picture) == {2}
    with pytest.raises(ValueError, match="no labelled picture of at least 250 px among 1"):
        make_sub_tiles([picture([], labelled=False)])


def test_positive_rules_count_what_they_say() -> None:
    # 10 of 30 px lie in the sub-tile at (0, 0): any, but neither half of it nor its centre.
    table = make_sub_tiles([picture([(240, 20, 270, 50)])])
    first = {rule: bool(positives(table, rule)[0]) for rule in ("any", "r_min", "centre")}
    assert first == {"any": True, "r_min": False, "centre": False}
    assert positives(table, "r_min", r_min=0.3)[0]
    assert positives(table, "centre").sum() == 2  # x from 125 and from 250, both at y = 0


def test_a_square_that_a_reviewer_saw_gives_a_sub_tile_around_what_was_judged() -> None:
    """Two squares of 256 px, which hold no sub-tile of the lattice; what lies at the slide's border has one as well."""
    judged = ((285, 285, 315, 315), (700, 5, 730, 35))
    squares = [
        ((x1 + x2) / 2 - 128, max((y1 + y2) / 2 - 128, 0), (x1 + x2) / 2 + 128, (y1 + y2) / 2 + 128)
        for x1, y1, x2, y2 in judged
    ]
    alike = Annotation(box=judged[0], label="look-alike", agreement=0)
    unseen = tuple(outside(squares, (1000, 1000)))
    of = picture([judged[1]], unlabelled=unseen).model_copy(
        update={"annotations": (alike, *picture([judged[1]]).annotations)}
    )
    lattice, table = make_sub_tiles([of]), make_sub_tiles([of], around_labels=True)
    assert (lattice.hard.sum(), lattice.negative.sum()) == (0, 0)
    assert len(table) == len(lattice) + 1, "at the border the square is cut, and no longer holds a sub-tile"
    assert table.origins[table.hard].tolist() == [[175, 175]]
    assert np.array_equal(table.scores[: len(lattice)], lattice.scores)
    whole = make_sub_tiles([picture([judged[1]])], around_labels=True)
    assert len(whole) == 49, "where all of it was looked at, the lattice shows it"
